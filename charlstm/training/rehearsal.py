"""The memory that a training will take, measured: it is begun, evaluated once and saved, and all of it is forgotten.

A sum of arrays is right to a fifth for two networks of three (``docs/decisions/cost-model.md``): what libraries set up
and arrange anew besides depends on cell, shape and processor. A few steps show it.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
import torch

from charlstm.checkpoint.provenance import Provenance
from charlstm.config import RunConfig
from charlstm.corpora.known_text import training_and_validation
from charlstm.cpu import idle_cores
from charlstm.errors import StorageError
from charlstm.evaluation.windows import STREAMS, window_length
from charlstm.training.beginning import Session, TrainingText
from charlstm.training.loop import Training
from charlstm.training.memory import forget_peak, give_back, resident, translate_oom
from charlstm.training.plan.choose import Plan
from charlstm.training.prepare import Prepared, beginning_of

_FEWEST, _MOST, _SHORT = 5, 24, 3.0
"""Steps, and the seconds that more than the fewest may take: some more is taken as a training goes on."""
_WINDOWS = 1
"""Windows of the validation text: each further one takes what the first has taken."""
_STREAM_WINDOWS = 8
"""Windows of each stream of the training text."""
_REACHES = 16
"""Of side inputs, which read before each stream as far as a sixteenth of the text."""
_LONGEST = 8.0
"""Seconds: what would take longer is not measured."""


def measure(prepared: Prepared, session: Session) -> int | None:
    """Measure the memory of a training in this process, which has done nothing since it was planned.

    Args:
        prepared: the run.
        session: how it would be trained.

    Returns:
        Bytes at the peak of steps, evaluation and save, beyond what the process has; None where this cannot be told, or
        would take too long.

    Raises:
        OutOfMemoryError: the memory does not suffice.
    """
    if prepared.plan.run.train.device != "cpu" or _seconds(prepared.plan) > _LONGEST:
        return None
    with suppress(StorageError, OSError), tempfile.TemporaryDirectory() as folder:
        give_back()
        before = resident("VmRSS")
        forget_peak()
        with translate_oom():
            training = _shortened(prepared, Path(folder), session)
            for _ in training.events(stop=lambda: training.cursor.step == _steps(prepared.plan)):
                pass
        return max(0, resident("VmHWM") - before) or None
    return None


def _steps(plan: Plan) -> int:
    rows = plan.run.data.batch_size * plan.run.data.seq_len
    return min(_MOST, max(_FEWEST, int(_SHORT * plan.tokens_per_second / rows)))


def _seconds(plan: Plan) -> float:
    """How long it will take: what is only read costs a third."""
    trained = _steps(plan) * plan.run.data.batch_size * plan.run.data.seq_len
    return (trained + _read(plan.run) / 3) / plan.tokens_per_second


def _read(run: RunConfig) -> int:
    """Tokens of the validation text."""
    return _WINDOWS * STREAMS * window_length(STREAMS, run.model)


def _shortened(prepared: Prepared, folder: Path, session: Session) -> Training:
    """The training of a part of the text."""
    run, tokenizer = prepared.plan.run, prepared.encoded.tokenizer
    threads = run.train.threads or min(torch.get_num_threads(), idle_cores())  # two that share a core wait for ever
    train = msgspec.structs.replace(
        run.train, max_steps=1000, max_time=None, epochs=None, eval_every=_steps(prepared.plan) // 2, threads=threads
    )
    run = run.replace(train=train, name=folder.name)
    train_ids, val_ids = training_and_validation(prepared.encoded, run.data)
    if not run.data.lists_records:
        windows = max(run.data.streams, run.data.batch_size) * run.data.seq_len * _STREAM_WINDOWS
        train_ids, val_ids = train_ids[: max(windows, _REACHES * run.model.reach)], val_ids[: _read(run)]
    text = TrainingText(tokenizer, train_ids, val_ids, len(val_ids))
    return Training(run, text, folder, beginning_of(prepared, Provenance()), session)
