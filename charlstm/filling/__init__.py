"""Filling the blanks of a text."""
