"""Experiments that train the cells side by side, at equal parameter counts and for equal time, and state the result."""
