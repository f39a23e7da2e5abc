"""A checkpoint as a network that can be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine

if TYPE_CHECKING:
    from charlstm.nn.model import CharLM


def load_engine(checkpoint: Checkpoint) -> Engine | BidirectionalEngine:
    """The NumPy engine of a checkpoint, causal or bidirectional."""
    if checkpoint.architecture.bidirectional:
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return Engine.from_checkpoint(checkpoint)


def load_engine_with_threads(checkpoint: Checkpoint, threads: int | None = None) -> Engine | BidirectionalEngine:
    """The same for a process of its own, whose BLAS threads it sets; a bidirectional one has one thread.

    Args:
        checkpoint: the model.
        threads: always so many; None chooses them while it steps.
    """
    from charlstm.engine.auto_threads import AutoThreadsEngine, blas_threads

    if checkpoint.architecture.bidirectional:
        blas_threads().use(1)
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return AutoThreadsEngine.from_checkpoint(checkpoint, threads)


def torch_model(checkpoint: Checkpoint, device: str = "cpu") -> CharLM:
    """The network of a checkpoint as a torch module, in evaluation mode.

    No initial weights are drawn: torch's global generator stays as it is.

    Args:
        checkpoint: the model.
        device: where to compute, as torch names it.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    from charlstm.nn.device import parse_device
    from charlstm.nn.model import CharLM

    place = parse_device(device)
    with torch.device("meta"):
        model = CharLM(checkpoint.architecture)
    tensors = {name: torch.from_numpy(np.array(each, np.float32)) for name, each in checkpoint.tensors.items()}
    model.load_state_dict({name: tensor.to(place) for name, tensor in tensors.items()}, assign=True)
    return model.eval()
