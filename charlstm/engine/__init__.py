"""A trained network stepped with NumPy: the same logits as the torch model, without the cost of importing torch."""

from charlstm.engine.network import Engine

__all__ = ["Engine"]
