"""From a reference to a model."""

from __future__ import annotations

from pathlib import Path

from charlstm.api.arguments import require_place, suggest_names
from charlstm.api.model import Model
from charlstm.checkpoint.format import read_model
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.store import ROOT, Store


@suggest_names
def load(reference: str | Path | None = None, *, root: str | Path = ROOT) -> Model:
    """Load a model.

    Args:
        reference: a run's name, a folder, a file, ``"latest"`` or ``"starter"``; None is the newest run, or the starter
            if there is none.
        root: the folder of runs.

    Returns:
        The model, ready to write, fill and score.

    Raises:
        NotFoundError: there is no such model.
        CheckpointError: the file cannot be used.
    """
    require_place("root", root)
    if reference is not None:
        require_place("reference", reference)
    path = find_model(Store(root), None if reference is None else str(reference))
    return Model(read_model(path))
