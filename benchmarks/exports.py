"""How fast is an exported network, how large is its file, and what do 8-bit weights cost?

Run: ``python -m benchmarks.exports [MODEL] [--rounds 9]``

MODEL is ``starter`` unless another causal one is named. All forms read the same characters of the end of the bundled
text, on one thread: one character at a time, as a network writes, and where a form can, whole windows of 256. Bits per
character are of 10,000 characters, read in order; the weights of a NumPy program are scored in torch.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmarks import records
from benchmarks.timing import interleaved
from charlstm.api.load import load
from charlstm.checkpoint.format import Checkpoint, StoredAs, convert
from charlstm.corpora.catalogue import bundled
from charlstm.engine.auto_threads import blas_threads
from charlstm.engine.load import torch_model
from charlstm.export.loss import bits_per_char
from charlstm.export.numpy_file import numpy_program
from charlstm.export.onnx_file import onnx_file
from charlstm.export.onnx_network import OnnxNetwork

_SCORED, _STEPS, _WINDOW = 10_000, 300, 256


def main() -> None:
    """Measure, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    record = records.begin("exports")
    model = load(options.model)
    saved, network = model.checkpoint, torch_model(model.checkpoint)
    blas_threads().use(1)
    torch.set_num_threads(1)
    text = "".join(part.read_text("utf-8") for part in bundled().values())[-_SCORED:]
    ids = model.tokenizer.encode(text).astype(np.int64)
    steps: dict[str, Callable[[], float]] = {"engine": partial(_speed, partial(_step_engine, model.engine, ids))}
    windows: dict[str, Callable[[], float]] = {"torch": partial(_speed, partial(_read, network, ids))}
    record.add("torch", "score", "bits per character", bits_per_char(network, saved, text))
    for is_int8 in (False, True):
        row, file = f"ONNX, {'int8' if is_int8 else 'float32'}", onnx_file(saved, is_int8=is_int8)
        exported = OnnxNetwork(file, network)
        record.add(row, "size", "bytes", len(file))
        record.add(row, "score", "bits per character", bits_per_char(exported, saved, text))
        steps[row] = partial(_speed, partial(_step, exported, ids))
        windows[row] = partial(_speed, partial(_read, exported, ids))
    for dtype in get_args(StoredAs):
        row, program = f"NumPy, {dtype}", numpy_program(saved, "poet", dtype=dtype, beside=False)
        record.add(row, "size", "bytes", len(program.source.encode()))
        converted = torch_model(convert(saved, dtype))
        record.add(row, "score", "bits per character", bits_per_char(converted, saved, text))
    steps["NumPy, float32"] = partial(_speed, partial(_step_program, _program(saved), ids))
    for name, measured in (("one at a time", steps), ("windows of 256", windows)):
        for row, values in interleaved(measured, options.rounds).items():
            record.add(row, name, "characters per second", values)
    record.show()
    record.finish(options)


def _speed(read: Callable[[], int]) -> float:
    """Characters per second."""
    start = time.perf_counter()
    return read() / (time.perf_counter() - start)


def _step_engine(engine: Any, ids: Any) -> int:
    state = engine.freeze(engine.empty_state(1))
    for token in ids[:_STEPS]:
        _, state = engine.step([int(token)], state)
    return _STEPS


def _step_program(program: Any, ids: Any) -> int:
    state = program.empty_state()
    for token in ids[:_STEPS].tolist():
        _, state = program.step(token, state)
    return _STEPS


@torch.inference_mode()
def _step(network: Any, ids: Any) -> int:
    state = None
    for token in torch.from_numpy(ids[:_STEPS]):
        _, state = network(token[None, None], state)
        state = state._replace(frozen=True)
    return _STEPS


@torch.inference_mode()
def _read(network: Any, ids: Any) -> int:
    state = None
    for window in torch.from_numpy(ids[: 4 * _WINDOW]).view(4, _WINDOW):
        _, state = network(window[None], state)
    return 4 * _WINDOW


def _program(saved: Checkpoint) -> Any:
    """The program of a network, imported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poet.py"
        path.write_text(numpy_program(saved, "poet", dtype="float32", beside=False).source, "utf-8")
        spec = importlib.util.spec_from_file_location("poet", path)
        assert spec is not None
        assert spec.loader is not None
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
    program.weights()
    return program


if __name__ == "__main__":
    main()
