"""What was found inside a network, arranged as pages: pure functions of plain data."""
