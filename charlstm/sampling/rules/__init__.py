"""Rules that a drawn text keeps, as guides."""
