"""Optimizers, the learning rate's schedule, and the average of weights."""
