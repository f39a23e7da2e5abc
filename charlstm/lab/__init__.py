"""Experiments: the cells trained side by side, at equal parameters and equal time, and what came out in plain words."""
