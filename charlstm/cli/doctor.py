"""What a bug report needs to know of a machine, and a test of everything that charlstm does, in a second."""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import charlstm
from charlstm.errors import CheckpointError, DivergedError
from charlstm.paths import cache_folder

if TYPE_CHECKING:
    from charlstm.api.model import Model

_TEXT = "The tide was out, and the boats lay on their sides in the mud. Nobody came. " * 60
_STEPS = 40
_CLOSE = 1e-4
"""How far the logits of the two engines may be apart."""


def facts(root: Path, cache: Path | None) -> Iterator[tuple[str, str]]:
    """What is known of this machine.

    Args:
        root: the folder of runs.
        cache: charlstm's cache folder; None is the system's.

    Yields:
        Names and values, for a person.
    """
    bits = 8 * struct.calcsize("P")
    yield "charlstm", f"{charlstm.__version__}, on Python {platform.python_version()} of {bits} bits"
    yield "system", platform.platform()
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in _packages())
    yield from _devices()
    yield "runs", _folder(root)
    yield "cache", _folder(cache or cache_folder())
    yield "text", f"stdout {sys.stdout.encoding}, files {sys.getfilesystemencoding()}"
    ours = ("CHARLSTM_CHECKPOINTS", "CHARLSTM_CACHE", "CHARLSTM_PRECISION")
    names = ("TERM", "COLUMNS", "NO_COLOR", *ours, "OMP_NUM_THREADS")
    told = [f"{name}={_at_home(os.environ[name])}" for name in names if name in os.environ]
    yield "environment", ", ".join(told) or "nothing of ours"


def _packages() -> list[str]:
    """The names of the packages that charlstm needs, and of those that its extras need."""
    try:
        lines = requires("charlstm") or []
    except PackageNotFoundError:  # a checkout that is not installed
        lines = ["torch", "numpy"]
    return list(dict.fromkeys(re.split(r"[^\w.-]", line)[0] for line in lines))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    from charlstm.nn.device import describe
    from charlstm.training.plan.probe import probe

    cpu = probe("cpu")
    yield "processor", f"{describe(torch.device('cpu'))}; {cpu.precision_reason}"
    yield "threads", f"{torch.get_num_threads()} of torch"
    yield "memory", f"{cpu.free_memory / 1e9:.1f} GB free"
    gpus = [describe(torch.device("cuda", number)) for number in range(torch.cuda.device_count())]
    yield "GPU", ", ".join(gpus) or f"none that torch {_version('torch')} can use"


def _folder(path: Path) -> str:
    """A folder's place, and whether files can be written there."""
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    can = "can be written" if there.is_dir() and os.access(there, os.W_OK) else "cannot be written"
    new = "" if there == path.absolute() else "not there yet, "
    return f"{_at_home(str(path.absolute()))}: {new}{can}, {shutil.disk_usage(there).free / 1e9:.1f} GB free"


def _at_home(path: str) -> str:
    """A path without the name of the person at home there."""
    home = str(Path.home())
    return re.sub(rf"^{re.escape(home)}(?=[/\\]|$)", "~", path) if len(home) > 1 else path


def self_test() -> float:
    """Learn, save, load, write, score and fill once, with a tiny network in a folder of its own.

    Returns:
        Seconds that it took.

    Raises:
        CharlstmError: something did not work, or not as it should.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = _learn(Path(folder))
        _compare(model)
        if len(model.generate("The ", length=30, seed=1)) != 30:
            raise CheckpointError("the self-test wrote a text of another length than it was asked for")
        model.fill("The t__e was", count=1)
        model.score("The tide was out.")
    return time.monotonic() - begun


def _learn(folder: Path) -> Model:
    from charlstm.api.load import load
    from charlstm.api.train import train
    from charlstm.events import StepDone

    text = folder / "text.txt"
    text.write_text(_TEXT, "utf-8")
    events = train(
        text, root=folder, name="test", cache=folder / "cache", init_from="none",
        hidden_size=32, ensemble=1, max_steps=_STEPS, seed=1, preview=0,
    )  # fmt: skip
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    if not losses[-1] < losses[0]:
        raise DivergedError(f"the self-test learnt nothing: its loss went from {losses[0]:.3f} to {losses[-1]:.3f}")
    return load("test", root=folder)


def _compare(model: Model) -> None:
    """Check that the engine of NumPy computes what torch does."""
    import numpy as np
    import torch

    from charlstm.sampling.position import prefill

    ids = model.tokenizer.encode("The tide was out")
    with torch.inference_mode():
        logits, _ = model.to_torch()(torch.as_tensor(np.asarray(ids, np.int64))[None])
    far = float(np.abs(prefill(model.writer, ids).logits[0] - logits[0, -1].numpy()).max())
    if not far < _CLOSE:
        raise CheckpointError(f"the self-test computed logits that are {far:.1e} apart with NumPy and with torch")
