"""Which weights of a network have dense gradients, and which sparse ones."""

from __future__ import annotations

from torch import Tensor, nn


def tables(model: nn.Module) -> list[Tensor]:
    """The weights of which a step reads a few rows, and whose gradients are sparse."""
    return [module.weight for module in model.modules() if isinstance(module, nn.EmbeddingBag)]


def dense_weights(model: nn.Module) -> list[Tensor]:
    """All other weights that learn."""
    sparse = {id(table) for table in tables(model)}
    return [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in sparse]
