"""What a checkpoint holds: tensors, settings, tokenizer, and where it all came from, in one file.

The tensors of a model, their names and shapes, are those of `shapes.tensor_shapes`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint import container
from charlstm.errors import CorruptError, IncompatibleError, UsageError
from charlstm.nn.shapes import CELLS, tensor_shapes

FORMAT_VERSION = 1
KINDS = ("model", "resume")

_UPGRADE = "Upgrade charlstm: pip install --upgrade charlstm."
_SECTIONS = ("config", "tokenizer", "provenance")


@dataclass(frozen=True)
class Checkpoint:
    """All of one file."""

    kind: str
    """``"model"``: all that sampling needs; or ``"resume"``: all that an exact resume needs."""
    tensors: dict[str, NDArray[Any]]
    config: dict[str, Any]
    """The run's settings, plain JSON values: reading needs no pydantic."""
    tokenizer: dict[str, Any]
    """What `Tokenizer.to_state` gave."""
    provenance: dict[str, Any]
    """Where it came from: ``charlstm`` (version), ``created`` (ISO time, UTC), ``step``, ``tokens``, ``seconds``,
    ``val_loss`` (nats per token, or None), ``bits_per_char`` (or None), ``weights``, ``corpus``, ``command``, …"""
    sha256: str = ""
    """Of the whole file; filled by `read`."""


@dataclass(frozen=True)
class Header:
    """A checkpoint without its tensors: what a list shows."""

    kind: str
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    provenance: dict[str, Any]
    sha256: str
    """As the file says; not computed."""
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    """Each tensor's type, as ``"F32"``, and shape."""
    size: int
    """Bytes of the whole file."""

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(shape) for _, shape in self.tensors.values())


def write(path: Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint, whole or not at all; an older one stays until the new one is safely on the disk.

    Returns:
        The file's SHA-256. The same checkpoint always gives the same file.

    Raises:
        StorageError: the disk is full, read-only or closed to this user.
        ValueError: settings, tokenizer or provenance hold what JSON cannot, as a NaN.
    """
    metadata = {"format": "charlstm", "version": str(FORMAT_VERSION), "kind": checkpoint.kind}
    # ASCII only, so that even half a surrogate pair in an alphabet comes back as it was.
    metadata |= {name: json.dumps(getattr(checkpoint, name), allow_nan=False) for name in _SECTIONS}
    return container.write(path, checkpoint.tensors, metadata)


def read(path: Path, kind: str | None = None) -> Checkpoint:
    """Read a checkpoint and check its SHA-256. The arrays may be written to.

    Args:
        path: the file.
        kind: ``"model"`` or ``"resume"`` if only that will do.

    Raises:
        NotFoundError: there is no such file.
        CorruptError: empty, cut short, changed by so much as a bit, or no checkpoint at all.
        IncompatibleError: from a newer charlstm, or of the other kind.
        StorageError: it cannot be read.
    """
    with container.open_file(path) as file:
        raw = container.read_header(file, path)
        found, sections = _identify(raw.metadata, path)
        if kind not in (None, found):
            raise IncompatibleError(
                f"a {found} file, where a {kind} file is needed",
                where=path,
                hint=f"Look for {kind}.safetensors beside it.",
            )
        tensors = container.read_tensors(file, raw, path)
    return Checkpoint(found, tensors, **sections, sha256=raw.metadata["sha256"])


def read_header(path: Path) -> Header:
    """Read all but the tensors, without checking the SHA-256: quick however large the file.

    Raises:
        NotFoundError, CorruptError, IncompatibleError, StorageError: as `read`.
    """
    with container.open_file(path) as file:
        raw = container.read_header(file, path)
    kind, sections = _identify(raw.metadata, path)
    sha256 = raw.metadata.get("sha256", "")
    return Header(kind, **sections, sha256=sha256, tensors=raw.tensors, size=raw.size)


def verify(path: Path) -> Checkpoint:
    """Check all that can be checked without running it: every bit, and for a model every tensor.

    Raises:
        NotFoundError, CorruptError, IncompatibleError, StorageError: as `read` and `check_model`.
    """
    checkpoint = read(path)
    if checkpoint.kind == "model":
        check_model(checkpoint, path)
    _check_tokenizer(checkpoint, path)
    return checkpoint


def check_model(checkpoint: Checkpoint, path: Path | str = "") -> None:
    """Check that a model's tensors are those its settings call for, and finite.

    Args:
        checkpoint: a checkpoint of the kind ``"model"``.
        path: where it came from, for the message.

    Raises:
        CorruptError: a tensor is missing, too many, misshapen, or holds a number that is not finite.
        IncompatibleError: a cell this version does not know.
    """
    expected = dict(tensor_shapes(_shape_settings(checkpoint, path)))
    odd = sorted(expected.keys() ^ checkpoint.tensors.keys())
    if odd:
        lack = "is missing" if odd[0] in expected else "does not belong to a model of these settings"
        raise CorruptError(f"tensor {odd[0]!r:.80} {lack}", where=path)
    for name, shape in expected.items():
        tensor = checkpoint.tensors[name]
        if tensor.shape != shape:
            raise CorruptError(f"tensor {name!r} has the shape {tensor.shape}, not {shape}", where=path)
        if tensor.dtype.kind != "f":
            raise CorruptError(f"tensor {name!r} holds {tensor.dtype}, not floating-point numbers", where=path)
        if not np.isfinite(tensor).all():
            raise CorruptError(f"tensor {name!r} holds numbers that are not finite", where=path)


def check_writes_on(checkpoint: Checkpoint, path: Path | str = "", *, lacking: str = "cannot write on") -> None:
    """Check that a model goes through a text from left to right.

    Args:
        checkpoint: the model.
        path: where it came from, for the message.
        lacking: what one that reads both ways cannot do, in the words of whoever asks.

    Raises:
        IncompatibleError: it reads both ways.
    """
    if checkpoint.config["model"].get("bidirectional"):
        raise IncompatibleError(
            f"this network reads both ways: it fills blanks, and {lacking}",
            where=path,
            hint="See: charlstm fill --help; or train one without --bidirectional.",
        )


def convert(checkpoint: Checkpoint, dtype: Literal["float16", "float32"]) -> Checkpoint:
    """The same checkpoint with its floating-point tensors stored as ``dtype``; readers compute in float32 anyway.

    Raises:
        UsageError: a weight is too large for ``dtype``.
    """
    tensors = dict(checkpoint.tensors)
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f":
            with np.errstate(over="ignore"):
                tensors[name] = tensor.astype(dtype)
            if not np.array_equal(np.isfinite(tensors[name]), np.isfinite(tensor)):
                raise UsageError(f"tensor {name!r} has weights too large for {dtype}", hint="Keep float32.")
    return replace(checkpoint, tensors=tensors, sha256="")


def _check_tokenizer(checkpoint: Checkpoint, path: Path) -> None:
    from charlstm.tokenizers import from_state

    vocab_size = checkpoint.config["model"]["vocab_size"] if checkpoint.kind == "model" else None
    try:
        found = from_state(checkpoint.tokenizer).vocab_size
    except CorruptError as fault:
        raise CorruptError(fault.what, where=path) from fault
    if vocab_size not in (None, found):
        raise CorruptError(f"its tokenizer has {found} tokens, its settings say {vocab_size}", where=path)


def _identify(metadata: dict[str, str], path: Path) -> tuple[str, dict[str, Any]]:
    """The kind and the sections of JSON, if this is a checkpoint of ours and of a version we know."""
    if metadata.get("format") != "charlstm":
        raise CorruptError("a safetensors file, but not one of charlstm's", where=path)
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit()) or len(version) > 9 or int(version) < 1:
        raise CorruptError("its header cannot be read: no format version", where=path)
    if int(version) > FORMAT_VERSION:
        what = f"written by a newer charlstm (format {version}; this one reads {FORMAT_VERSION})"
        raise IncompatibleError(what, where=path, hint=_UPGRADE)
    sections: dict[str, Any] = {}
    try:
        for name in _SECTIONS:
            sections[name] = json.loads(metadata[name])
            if not isinstance(sections[name], dict):
                raise TypeError(name)
        if metadata["kind"] not in KINDS:
            raise ValueError("a kind of file there is not")
        return metadata["kind"], sections
    except (KeyError, TypeError, ValueError, RecursionError) as fault:
        raise CorruptError("its header cannot be read: damaged, or incomplete", where=path) from fault


def _shape_settings(checkpoint: Checkpoint, path: Path | str) -> dict[str, Any]:
    """The settings that decide the tensors' shapes."""
    settings = checkpoint.config.get("model")
    if not isinstance(settings, dict):
        raise CorruptError("its settings have no model", where=path)
    cell = settings.get("cell", "lstm")
    if not isinstance(cell, str) or cell not in CELLS:
        raise IncompatibleError(f"its cell {cell!r:.40} is not known here", where=path, hint=_UPGRADE)
    sizes = ("vocab_size", "embedding_size", "hidden_size", "num_layers")
    shape = {name: _positive(settings, name, path) for name in sizes}
    # Each layer has tensors: a lying number of layers must not make us count to a thousand million.
    if shape["num_layers"] > len(checkpoint.tensors):
        raise CorruptError(f"its settings name {shape['num_layers']} layers, more than it holds", where=path)
    flags = {name: settings.get(name) is True for name in ("bidirectional", "skip")}
    for name, lowest, highest in (("attention_window", 0, 1 << 16), ("ensemble", 1, 16), ("ngram_order", 0, 16)):
        shape[name] = settings.get(name, lowest)  # older files do not name them
        if type(shape[name]) is not int or not lowest <= shape[name] <= highest:
            told = f"{settings[name]!r:.40}, not from {lowest} to {highest}"
            raise CorruptError(f"its setting {name} is {told}", where=path)
    if shape["ngram_order"] >= 2:
        shape["ngram_rows"] = _positive(settings, "ngram_rows", path)
    orders = settings.get("recall", ())
    if not isinstance(orders, (list, tuple)) or not all(type(n) is int and 2 <= n <= 16 for n in orders):
        raise CorruptError(f"its setting recall is {orders!r:.40}, not a list of numbers from 2 to 16", where=path)
    if orders:
        shape["recall_rows"] = _positive(settings, "recall_rows", path)
        if len(orders) > 16 or shape["recall_rows"] > 1 << 20:  # else a lying file would have us fill all memory
            raise CorruptError("its setting recall asks for more memory than any network has", where=path)
    return {**shape, "recall": orders, "cell": cell, **flags}


def _positive(settings: dict[str, Any], name: str, path: Path | str) -> int:
    number = settings.get(name)
    if type(number) is not int or number < 1:
        raise CorruptError(f"its setting {name} is {number!r:.40}, not a positive whole number", where=path)
    return number
