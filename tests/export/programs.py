"""Exported programs, imported as anyone would import them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from charlstm.checkpoint.format import Checkpoint, StoredAs
from charlstm.export.numpy_file import numpy_program


def write_program(
    folder: Path, saved: Checkpoint, name: str = "poet", *, dtype: StoredAs = "float32", beside: bool = False
) -> Path:
    """Write the program of a network into a folder."""
    program = numpy_program(saved, name, dtype=dtype, beside=beside)
    path = folder / f"{name}.py"
    path.write_text(program.source, "utf-8")
    if program.beside is not None:
        path.with_suffix(".npz").write_bytes(program.beside)
    return path


def imported(path: Path) -> Any:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program_of(folder: Path, saved: Checkpoint, **how: Any) -> Any:
    """The program of a network, imported."""
    return imported(write_program(folder, saved, **how))
