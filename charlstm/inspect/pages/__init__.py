"""What was found inside a network, or during its training, arranged as pages: pure functions of plain data."""
