"""The weights of a network with sparse gradients, and those with dense ones."""

from __future__ import annotations

from torch import nn

from charlstm.nn.side_inputs.table import SideInputTable


def sparse_tables(model: nn.Module) -> list[SideInputTable]:
    """Return the tables of side inputs whose gradients are sparse: a step reads few of their rows."""
    return [module for module in model.modules() if isinstance(module, SideInputTable) and module.side.sparse]


def dense_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return all other trainable weights, by name."""
    sparse = {id(table.weight) for table in sparse_tables(model)}
    return {
        name: weight for name, weight in model.named_parameters() if weight.requires_grad and id(weight) not in sparse
    }
