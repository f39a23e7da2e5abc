"""A trained network in NumPy: the same logits as the torch model, without the cost of importing torch."""

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine

__all__ = ["BidirectionalEngine", "Engine", "engine_of"]


def engine_of(checkpoint: Checkpoint) -> Engine | BidirectionalEngine:
    """The engine for a checkpoint that `checkpoint.format.read` has verified."""
    if checkpoint.config["model"].get("bidirectional"):
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return Engine.from_checkpoint(checkpoint)
