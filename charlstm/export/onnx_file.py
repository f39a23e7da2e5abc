"""A network as an ONNX file, with all that a program needs to use it: its alphabet, settings and origin as metadata."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

from charlstm import __version__
from charlstm.checkpoint.format import Checkpoint
from charlstm.errors import UsageError
from charlstm.nn.shapes import parameter_count
from charlstm.sampling.prompts import bos_ids

PACKAGES = ("onnx", "onnxruntime")
LARGEST = (1 << 31) - (1 << 20)
"""Bytes of weights that a file may have: its format ends at 2 GB, and leaves a little for the graph."""


def check_packages() -> None:
    """Check that ONNX files can be made and run.

    Raises:
        UsageError: a package is not installed.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        what = f"an ONNX file needs the package {missing[0]}, which is not installed"
        raise UsageError(what, hint=f"pip install {' '.join(PACKAGES)}")


def onnx_file(checkpoint: Checkpoint, *, is_int8: bool = False) -> bytes:
    """Make the ONNX file of a network.

    Args:
        checkpoint: the network.
        is_int8: whether its matrices are stored as 8-bit integers, and an LSTM computes in them.

    Returns:
        The file; the same network always gives the same one.

    Raises:
        UsageError: it would be larger than the format allows.
    """
    architecture = checkpoint.architecture
    size = parameter_count(architecture) * (1 if is_int8 else 4)
    if size > LARGEST:
        hint = "" if is_int8 else "Add `int8=True`, which takes a quarter."
        raise UsageError("the network is larger than 2 GB, the most that an ONNX file holds", hint=hint)
    import onnx
    from onnx import helper

    from charlstm.export.onnx_graph import IR_VERSION, OPSET, build

    graph = build(architecture, checkpoint.tensors, is_int8=is_int8)
    opsets = [helper.make_opsetid("", OPSET)]
    if any(node.domain for node in graph.node):
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="charlstm", producer_version=__version__,
        doc_string=_guide(checkpoint),
    )  # fmt: skip
    helper.set_model_props(model, metadata(checkpoint, is_int8=is_int8))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def metadata(checkpoint: Checkpoint, *, is_int8: bool) -> dict[str, str]:
    """The metadata of a file: each value is JSON, in ASCII.

    Args:
        checkpoint: the network.
        is_int8: how its weights are stored.

    Returns:
        The values by name.
    """
    provenance, data = checkpoint.provenance, checkpoint.run.data
    values: dict[str, Any] = {
        "charlstm": __version__,
        "weights": "int8" if is_int8 else "float32",
        "architecture": checkpoint.architecture.settings(),
        "tokenizer": checkpoint.tokenizer,
        "reading": {
            "newlines": data.newlines,
            "begin": bos_ids(checkpoint.load_tokenizer()),
            "window": data.seq_len,
        },
        "writing": checkpoint.writing.to_plain(),
        "provenance": {
            "name": checkpoint.run.name,
            "corpus": provenance.corpus.name,
            "corpus_sha256": provenance.corpus.sha256,
            "bits_per_char": provenance.bits_per_char,
        },
    }
    return {name: json.dumps(value, allow_nan=False) for name, value in values.items()}


def _guide(checkpoint: Checkpoint) -> str:
    """How the graph is used, for whoever opens the file in a viewer."""
    predicts = "each token from those on both sides" if checkpoint.architecture.bidirectional else "the next token"
    return (
        f"A character-level language model of charlstm. It reads `tokens`, (batch, time), and predicts {predicts}: "
        "`logits`, (batch, time, vocab). The state goes in by name, all zeros before any text, and comes out as "
        "`next.` and the name. The metadata, in JSON, have its alphabet, settings and origin."
    )
