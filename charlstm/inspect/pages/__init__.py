"""What was found in a network, in its training or in a text, arranged as pages: pure functions of plain data."""
