"""What was found inside a network or in a text, arranged as pages: pure functions of plain data."""
