"""The settings that a text, a budget and a machine ask for."""
