"""What was found inside a network, or on its way through a training, arranged as pages: pure functions of plain data."""
