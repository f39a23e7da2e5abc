"""What stands in the blanks of a text."""
