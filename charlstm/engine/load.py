"""Creates a network that can be run from a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine

if TYPE_CHECKING:
    from charlstm.nn.model import CharLM


def load_engine(checkpoint: Checkpoint) -> Engine | BidirectionalEngine:
    """Create the NumPy engine of a checkpoint, causal or bidirectional."""
    if checkpoint.architecture.bidirectional:
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return Engine.from_checkpoint(checkpoint)


def load_engine_with_threads(checkpoint: Checkpoint, threads: int | None = None) -> Engine | BidirectionalEngine:
    """Create the NumPy engine of a checkpoint, and let it set the number of BLAS threads of this process.

    For programs only: a library must not change its caller's process. A bidirectional engine uses one thread.

    Args:
        checkpoint: the model.
        threads: a fixed number of threads; None chooses it by measurement.

    Returns:
        The engine.
    """
    from charlstm.engine.auto_threads import AutoThreadsEngine, blas_threads

    if checkpoint.architecture.bidirectional:
        blas_threads().use(1)
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return AutoThreadsEngine.from_checkpoint(checkpoint, threads)


def torch_model(checkpoint: Checkpoint, device: str = "cpu") -> CharLM:
    """Create the torch module of a checkpoint, in evaluation mode.

    It draws no initial weights, so torch's global generator does not change.

    Args:
        checkpoint: the model.
        device: torch's name of the device to compute on.

    Returns:
        The module, with a copy of the weights.

    Raises:
        UsageError: the device does not exist on this machine.
    """
    import torch

    from charlstm.nn.device import parse_device, without_values
    from charlstm.nn.model import CharLM

    target = parse_device(device)
    with without_values():
        model = CharLM(checkpoint.architecture)
    tensors = {name: torch.from_numpy(np.array(each, np.float32)) for name, each in checkpoint.tensors.items()}
    model.load_state_dict({name: tensor.to(target) for name, tensor in tensors.items()}, assign=True)
    return model.eval()
