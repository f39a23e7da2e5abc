"""A checkpoint as a torch module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.checkpoint.format import Checkpoint

if TYPE_CHECKING:
    from charlstm.nn.model import CharLM


def torch_model(checkpoint: Checkpoint, device: str = "cpu") -> CharLM:
    """The network of a checkpoint as a torch module, in evaluation mode.

    No initial weights are drawn: torch's global generator stays as it is.

    Args:
        checkpoint: a model that `checkpoint.format.check_model` has passed.
        device: where to compute, as torch names it.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    from charlstm.config import ModelConfig
    from charlstm.nn.device import parse_device
    from charlstm.nn.model import CharLM
    from charlstm.settings_file import kept

    place = parse_device(device)
    with torch.device("meta"):
        model = CharLM(kept(ModelConfig, checkpoint.config["model"]))
    tensors = {name: torch.from_numpy(np.array(each, np.float32)) for name, each in checkpoint.tensors.items()}
    model.load_state_dict({name: tensor.to(place) for name, tensor in tensors.items()}, assign=True)
    return model.eval()
