"""Creates a network that can be run from a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.checkpoint.format import Checkpoint
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.products import Precision, check_int8, has_int8
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count

if TYPE_CHECKING:
    from charlstm.nn.model import CharLM


_LEAST_WEIGHTS = 400_000
"""Of a step's products, from which on fewer bytes to read are worth more than the work of rounding."""


def writing_precision(architecture: Architecture, asked: Precision | None = None) -> Precision:
    """Choose how a network computes while it writes.

    Args:
        architecture: the architecture of the network.
        asked: what a person asked for; None chooses int8 for wide networks where it is installed.

    Returns:
        The precision of the products in its recurrent layers.

    Raises:
        UsageError: int8 was asked for, and is not installed.
    """
    if asked == "int8":
        check_int8()
    if asked is not None:
        return asked
    wide = matmul_weight_count(architecture) >= _LEAST_WEIGHTS
    return "int8" if wide and not architecture.bidirectional and has_int8() else "fp32"


def load_engine(checkpoint: Checkpoint, *, precision: Precision = "fp32") -> Engine | BidirectionalEngine:
    """Create the NumPy engine of a checkpoint.

    Args:
        checkpoint: the model, causal or bidirectional.
        precision: of the products in the recurrent layers of a causal one.

    Returns:
        The engine.

    Raises:
        UsageError: the precision needs a package that is not installed.
    """
    if checkpoint.architecture.bidirectional:
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return Engine.from_checkpoint(checkpoint, precision=precision)


def load_engine_with_threads(
    checkpoint: Checkpoint, threads: int | None = None, *, precision: Precision = "fp32"
) -> Engine | BidirectionalEngine:
    """Create the NumPy engine of a checkpoint, and let it set the number of BLAS threads of this process.

    For programs only: a library must not change its caller's process. A bidirectional engine uses one thread and fp32.

    Args:
        checkpoint: the model.
        threads: a fixed number of threads; None chooses it by measurement.
        precision: of the products in its recurrent layers.

    Returns:
        The engine.

    Raises:
        UsageError: the precision needs a package that is not installed.
    """
    from charlstm.engine.auto_threads import AutoThreadsEngine, blas_threads

    if checkpoint.architecture.bidirectional:
        blas_threads().use(1)
        return BidirectionalEngine.from_checkpoint(checkpoint)
    return AutoThreadsEngine.from_checkpoint(checkpoint, threads, precision=precision)


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
