"""From a run on disk to its page: what `charlstm report` shows, and what training leaves beside the checkpoint."""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.checkpoint.names import LATEST
from charlstm.checkpoint.run import MODEL, REPORT, RESUME
from charlstm.cli.spelling import with_options
from charlstm.cli.views.terminal import say
from charlstm.cli.workspace import reference_to
from charlstm.errors import CharlstmError, is_out_of_memory

if TYPE_CHECKING:
    from charlstm.checkpoint.store import Store
    from charlstm.config import TrainConfig
    from charlstm.inspect.runs import RunRecord
    from charlstm.training.loop import Training

_SECONDS = 0.7
"""After so long at the end of a training no baseline is measured any more: the whole page is to take a second."""
_BOTH_SIDES = "It is scored given the text on both sides, so no compressor compares."


def find(store: Store, reference: str | None) -> Path:
    """Find the folder of a run, whether or not it has a model yet.

    Args:
        store: the folder of runs.
        reference: a name, a folder, a model's file, ``latest``, ``starter``, or None for the newest run.

    Returns:
        The folder.

    Raises:
        NotFoundError: there is no such run.
    """
    from charlstm.checkpoint.references import find_model

    if reference is not None:
        name = store.spelled(reference)
        for folder in (store.root / name if name in store.folder_names() else None, Path(reference)):
            if folder is not None and folder.is_dir():
                return folder
    return find_model(store, reference or LATEST).parent


def read(folder: Path, cache: Path) -> RunRecord:
    """Read everything about a run.

    Args:
        folder: the run's.
        cache: the folder of encoded texts, where its text is found again.

    Returns:
        The run with its diagnosis, the command that continues it and its baselines.

    Raises:
        NotFoundError, StorageError: there is nothing to read, or it cannot be read.
    """
    from charlstm.inspect.runs import read_run

    run = _with_words(read_run(folder))
    baselines, note = _baselines(run, cache)
    return replace(run, baselines=baselines, baselines_note=note)


def leave_report(training: Training) -> Path | None:
    """Write the page of a run beside its checkpoint; a failure is reported, and changes nothing else.

    Args:
        training: a training after its last event.

    Returns:
        The path of the page; None if none was written.
    """
    late = time.monotonic() + _SECONDS
    folder = training.folder
    if not any((folder / name).exists() for name in (MODEL, RESUME)):
        return None  # nothing was saved, so the folder is about to be removed
    try:
        from charlstm.files import write_atomically
        from charlstm.inspect.pages.run import run_page
        from charlstm.inspect.runs import read_run
        from charlstm.report.page import html_page

        run = _with_words(read_run(folder))
        measured, note = training.baselines(lambda: time.monotonic() > late), ""
        if training.run.model.bidirectional:
            note = _BOTH_SIDES
        elif measured and "xz" not in measured:
            note = f"There was no time to measure all of them; `charlstm report {reference_to(folder)}` does."
        run = replace(run, baselines=measured, baselines_note=note)
        write_atomically(folder / REPORT, html_page(run_page([run])).encode())
    except Exception as fault:  # whatever it is, the training is done and saved
        say(f"no report was written: {'out of memory' if is_out_of_memory(fault) else fault}")
        return None
    return folder / REPORT


def _with_words(run: RunRecord) -> RunRecord:
    return replace(run, diagnosis=_diagnosis(run), continue_with=_continue_with(run))


def _diagnosis(run: RunRecord) -> str:
    """How a run went that came to its end."""
    from charlstm.training.diagnosis import diagnose

    history = run.history
    reason = None if history.stopped is None else history.stopped.reason
    if reason == "diverged":
        return "A lower --lr or a lower --grad-clip helps."
    if reason not in ("finished", "early") or not history.sessions or not history.evaluations:
        return ""
    fine_tuned = run.header is not None and bool(run.header.provenance.init_from)
    losses = [each.val_loss for each in history.evaluations]
    last, train_tokens = history.evaluations[-1], history.sessions[-1].train_tokens
    train_loss = math.nan if last.train_loss is None else last.train_loss
    start_loss = None if history.evaluations[0].step else losses[0]
    said = diagnose(
        train_loss, losses, round(run.tokens), train_tokens, fine_tuned=fine_tuned, start_loss=start_loss
    )  # fmt: skip
    return with_options(said)


def _continue_with(run: RunRecord) -> str:
    """The command that trains a run further, after its end with twice its budget; empty if there is none."""
    stopped, name = run.history.stopped, reference_to(run.folder)
    if run.header is None or not (run.folder / RESUME).is_file() or (stopped and stopped.reason == "diverged"):
        return ""
    if stopped is not None and stopped.reason == "early":
        return f"charlstm train {shlex.join(run.header.run.data.sources)} --init-from {name}"
    budget = ""
    if stopped is not None and stopped.reason == "finished":
        budget = _twice(run.header.run.train)
    return f"charlstm train --resume {name}{budget}"


def _twice(train: TrainConfig) -> str:
    """Twice a budget, as options."""
    if train.max_time is not None:
        return f" --max-time {2 * train.max_time:g}s"
    if train.epochs is not None:
        return f" --epochs {2 * train.epochs:g}"
    return f" --max-steps {2 * train.max_steps}" if train.max_steps is not None else ""


def _baselines(run: RunRecord, cache: Path) -> tuple[dict[str, float], str]:
    """The baselines of a run's validation text, or why there are none."""
    from charlstm.corpora.known_text import load_known_text, training_and_validation
    from charlstm.evaluation.baselines import baselines
    from charlstm.tokenizers import from_state

    header = run.header
    if header is None:
        return {}, ""
    if header.run.model.bidirectional:
        return {}, _BOTH_SIDES
    data, sha256 = header.run.data, header.provenance.corpus.sha256
    try:
        tokenizer = from_state(header.tokenizer)
        encoded = load_known_text(data, tokenizer, sha256, cache, None, _TEXT_CHANGED)
    except CharlstmError as fault:
        return {}, f"It cannot be compared with compressors, as its text cannot be read: {fault.what}."
    return baselines(*training_and_validation(encoded, data), tokenizer), ""


_TEXT_CHANGED = ("it is no longer the one this run was trained on", "")
