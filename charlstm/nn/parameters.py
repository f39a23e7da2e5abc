"""Which weights of a network have dense gradients, and which sparse ones."""

from __future__ import annotations

from torch import nn

from charlstm.nn.side_inputs.table import SideInputTable


def sparse_tables(model: nn.Module) -> list[SideInputTable]:
    """The side inputs' tables of which a step reads a few rows, and whose gradients are sparse."""
    return [module for module in model.modules() if isinstance(module, SideInputTable) and module.side.sparse]


def dense_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All other weights that learn, by name."""
    sparse = {id(table.weight) for table in sparse_tables(model)}
    return {
        name: weight for name, weight in model.named_parameters() if weight.requires_grad and id(weight) not in sparse
    }
