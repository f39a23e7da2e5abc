"""How well a network knows a text: losses, calibration, scores."""
