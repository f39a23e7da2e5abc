"""From a reference to a model."""

from __future__ import annotations

from pathlib import Path

from charlstm.api.arguments import require_place, suggest_names
from charlstm.api.model import Model
from charlstm.checkpoint.format import read_model
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.store import ROOT, Store
from charlstm.engine.products import PRODUCTS, Precision
from charlstm.schemas import require


@suggest_names
def load(reference: str | Path | None = None, *, root: str | Path = ROOT, precision: Precision = "fp32") -> Model:
    """Load a model.

    Args:
        reference: a run's name, a folder, a file, ``"latest"`` or ``"starter"``; None is the newest run, or the starter
            if there is none.
        root: the folder of runs.
        precision: of what a causal network writes: ``"fp32"``, or ``"int8"``, which is faster and nearly the same.

    Returns:
        The model, ready to write, fill and score.

    Raises:
        NotFoundError: there is no such model.
        CheckpointError: the file cannot be used.
        UsageError: int8 needs numkong, which is not installed.
    """
    require_place("root", root)
    require("precision", precision, isinstance(precision, str) and precision in PRODUCTS, "fp32 or int8")
    if reference is not None:
        require_place("reference", reference)
    path = find_model(Store(root), None if reference is None else str(reference))
    return Model(read_model(path), precision=precision)
