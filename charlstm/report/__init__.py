"""What was found, as plain data, and how it is drawn."""
