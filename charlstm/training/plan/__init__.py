"""Automatic settings: `rules` chooses them for a text, a budget and a machine, `costs` predicts speed and memory."""
