"""Resumes a run exactly, from its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import CorpusProvenance, Provenance
from charlstm.checkpoint.references import hint_at_model
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.config import BUDGETS, MAY_CHANGE, RunConfig, TrainConfig, check_partial
from charlstm.corpora.known_text import load_known_text, open_corpus
from charlstm.corpora.sources import STDIN
from charlstm.errors import CharlstmError, CorruptError, NotFoundError, UsageError
from charlstm.schemas import parse, to_plain
from charlstm.training.beginning import ALONE, Beginning, Session
from charlstm.training.loop import Training
from charlstm.training.plan import probe
from charlstm.training.plan.merge import Given
from charlstm.training.prepare import assemble
from charlstm.training.snapshot import Cursor, verify


def differing(run: RunConfig, given: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the explicit settings that differ from those of a run and must not change when it is resumed.

    Args:
        run: the settings of the run.
        given: explicit settings, by section.

    Returns:
        Section and name of each such setting.
    """
    conflicts, settings = [], run.to_plain()
    for section, values in given.items():
        for name, value in values.items():
            own = settings[section][name]
            lowered = name in ("batch_size", "seq_len") and own < value  # because the text was too short
            if name not in MAY_CHANGE and own != (tuple(value) if isinstance(value, list) else value) and not lowered:
                conflicts.append((section, name))
    return conflicts


def resume(
    folder: Path,
    cache: Path,
    changes: Mapping[str, Any],
    *,
    stdin: BinaryIO | None = None,
    given: Given | None = None,
    session: Session = ALONE,
) -> Training:
    """Create the exact continuation of a run; on another kind of device it is exact but for the random numbers.

    Args:
        folder: the folder of the run.
        cache: the folder of the cache of encoded texts; a text that is still in it is not read again.
        changes: new values of settings in `config.MAY_CHANGE`. A new `max_time`, `max_steps` or `epochs` replaces all
            previous budgets; a value that the run already has changes none of them.
        stdin: the stream that the source ``-`` stands for.
        given: explicit settings that must agree with the run; None checks nothing.
        session: how it is trained this time; only rank 0 needs the run's files.

    Returns:
        The training, before its next step.

    Raises:
        NotFoundError: the run cannot be resumed.
        UsageError: the text has changed, a setting differs from the run's, or the device does not exist.
        CheckpointError: the resume file cannot be used.
    """
    ranks = session.ranks
    saved = ranks.on_rank_zero(lambda: _read_resume_file(folder))
    _check_same(saved.run, given or {})
    run = ranks.on_rank_zero(lambda: _apply_changes(saved.run, changes))
    tokenizer = saved.load_tokenizer()
    sha256 = saved.provenance.corpus.sha256
    encoded = ranks.local_first(lambda: load_known_text(run.data, tokenizer, sha256, cache, stdin, _TEXT_CHANGED))
    notice = ranks.on_rank_zero(lambda: _changed_source_notice(run, saved.provenance.corpus, cache))
    origin = saved.provenance
    provenance = Provenance(
        charlstm=origin.charlstm, command=origin.command, corpus=origin.corpus, init_from=origin.init_from
    )
    beginning = Beginning(provenance, known_words=saved.words, resume=saved, notice=notice)
    try:
        return assemble(run, encoded, folder, beginning, session)
    except CorruptError as fault:
        fault.where = fault.where or str(folder / RESUME)
        raise


def _read_resume_file(folder: Path) -> Checkpoint:
    path = folder / RESUME
    if not path.exists():
        raise NotFoundError(
            "there is nothing here to resume", where=folder, hint=f"A run can go on while it has its {RESUME}."
        )
    with hint_at_model(folder):
        saved = checkpoint_format.read(path, kind="resume")
        try:
            verify(saved)
        except CorruptError as fault:
            fault.where = str(path)
            raise
    cursor, model = Cursor.from_json(saved.cursor), _model_provenance(folder / MODEL)
    if model is None:
        # The best model was removed or damaged: the next evaluation writes a new one, whatever its loss.
        cursor.best_val_loss, cursor.evaluated = None, -1
    elif model.val_loss is not None and (model.step or 0) > cursor.step:
        # The model is from steps after the resume file, which a kill has lost: only an equal or better one replaces it.
        cursor.best_val_loss = math.nextafter(model.val_loss, math.inf)
    return replace(saved, cursor=cursor.to_json())


def _apply_changes(run: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Return settings with another budget or device; for another kind of device the best precision is measured.

    Raises:
        UsageError: the device does not exist, or does not support the precision.
    """
    check_partial("train", dict(changes))
    new = {name: value for name, value in changes.items() if getattr(run.train, name) != value}
    if new.keys() & set(BUDGETS):
        new = {**{name: changes.get(name) for name in BUDGETS}, **new}
    if new.keys() & {"device", "precision"}:
        device = new.get("device", run.train.device)
        same_kind = device.partition(":")[0] == run.train.device.partition(":")[0]
        precision = changes.get("precision") or (run.train.precision if same_kind else None)
        machine = probe.probe(device, precision, new.get("threads", run.train.threads))
        new |= {"device": machine.device, "precision": machine.precision}
    return run.replace(train=parse(TrainConfig, {**to_plain(run.train), **new}))


def _check_same(run: RunConfig, given: Given) -> None:
    """Raise `UsageError` if an explicit setting differs from the run's and must not change."""
    for section, name in differing(run, given):
        raise UsageError(
            f"`{name}` is {run.to_plain()[section][name]} in this run, not {given[section][name]}",
            hint="Only its budget, its device and `on_divergence` can change when a run is resumed; "
            "another name starts another run.",
        )


_TEXT_CHANGED = (
    "the text is no longer the one this run was trained on",
    "To learn from the new text, begin a new run from the weights of this one.",
)


def _changed_source_notice(run: RunConfig, corpus: CorpusProvenance, cache: Path) -> str:
    """Return a notice if the sources have changed and the run continues with the cached text; else nothing."""
    if STDIN in run.data.sources:
        return ""
    where = ", ".join(run.data.sources)
    try:
        current = open_corpus(run.data, cache, None)
        same_files = corpus.fingerprint and current.fingerprint() == corpus.fingerprint
        unchanged = same_files or current.sha256(raw=run.data.tokenizer == "byte") == corpus.sha256
    except CharlstmError as fault:
        return f"{where} cannot be read now ({fault.what}); the run continues with the text as it was."
    if unchanged:
        return ""
    return f"{where}: changed since this run began; the run continues with the text as it was."


def _model_provenance(model: Path) -> Provenance | None:
    """Return the provenance of a model, or None if it is missing or damaged."""
    try:
        return checkpoint_format.read(model, kind="model").provenance
    except CharlstmError:
        return None
