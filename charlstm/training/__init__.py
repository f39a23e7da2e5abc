"""Training: `loop` the steps, `budget` when they end, `snapshot` what an exact resume needs."""

from charlstm.training.loop import Training

__all__ = ["Training"]
