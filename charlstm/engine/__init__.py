"""Trained networks in NumPy: the same logits as the torch model, without the cost of importing torch."""
