"""A checkpoint as a network that can be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charlstm.checkpoint.format import Checkpoint

if TYPE_CHECKING:
    pass


def torch_model(checkpoint: Checkpoint) -> Any:
    """The network of a checkpoint as a torch module, in evaluation mode."""
    from charlstm.config import ModelConfig
    from charlstm.nn.model import CharLM
    from charlstm.settings_file import kept

    model = CharLM(kept(ModelConfig, checkpoint.config["model"]))
    model.load_tensors(checkpoint.tensors)
    return model.eval()
