"""From the folder of a run to its exact continuation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import CorpusProvenance, Provenance
from charlstm.checkpoint.run import MODEL, RESUME
from charlstm.config import BUDGETS, MAY_CHANGE, RunConfig, TrainConfig, check_partial
from charlstm.corpora.sources import STDIN
from charlstm.errors import CharlstmError, CorruptError, NotFoundError, UsageError
from charlstm.schemas import parse, to_plain
from charlstm.training.distributed import SINGLE_PROCESS, Ranks
from charlstm.training.loop import Training, WritePreview
from charlstm.training.plan import probe
from charlstm.training.plan.merge import Given
from charlstm.training.prepare import assemble, opened, same_text


def differing(run: RunConfig, given: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Section and name of the settings given that are not those of a run, and that may not change."""
    found, settings = [], run.to_plain()
    for section, values in given.items():
        for name, value in values.items():
            own = settings[section][name]
            shrunk = name in ("batch_size", "seq_len") and own < value  # the text was too short for it
            if name not in MAY_CHANGE and own != (tuple(value) if isinstance(value, list) else value) and not shrunk:
                found.append((section, name))
    return found


def resume(
    folder: Path,
    cache: Path,
    changes: Mapping[str, Any],
    *,
    stdin: BinaryIO | None = None,
    given: Given | None = None,
    ranks: Ranks = SINGLE_PROCESS,
    write_preview: WritePreview | None = None,
) -> Training:
    """The exact continuation of a run; on another kind of device exact but for the random numbers.

    Args:
        folder: the run's.
        cache: where encoded texts are kept; a text that is still there need not be read again.
        changes: settings of `config.MAY_CHANGE`. A new `max_time`, `max_steps` or `epochs` replaces all the old ones;
            what the run has already keeps them, also those that chose themselves.
        stdin: what the source ``-`` reads.
        given: settings that must be the run's; None asks for none.
        ranks: this process among those that train together; only the first needs the run's files.
        write_preview: writes the samples shown during training; None shows none.

    Raises:
        NotFoundError: the run cannot be resumed.
        UsageError: the text is no longer the one the run was trained on, or the settings given are not; there is no
            such device.
        CheckpointError: the file it would go on from cannot be used.
    """
    saved = ranks.on_rank_zero(lambda: _saved(folder))
    _check_same(saved.run, given or {})
    run = ranks.on_rank_zero(lambda: _changed(saved.run, changes))
    tokenizer = saved.load_tokenizer()
    sha256 = saved.provenance.corpus.sha256
    encoded = ranks.local_first(lambda: same_text(run, tokenizer, sha256, cache, stdin, _NO_LONGER))
    notice = ranks.on_rank_zero(lambda: _told_of_changes(run, saved.provenance.corpus, cache))
    began = saved.provenance
    provenance = Provenance(charlstm=began.charlstm, command=began.command, corpus=began.corpus)
    try:
        return assemble(
            run, encoded, folder, provenance, ranks, resume=saved, notice=notice, write_preview=write_preview
        )
    except CorruptError as fault:
        fault.where = fault.where or str(folder / RESUME)
        raise


def _saved(folder: Path) -> Checkpoint:
    path = folder / RESUME
    if not path.exists():
        raise NotFoundError(
            "there is nothing here to resume", where=folder, hint=f"A run can go on while it has its {RESUME}."
        )
    saved = checkpoint_format.read(path, kind="resume")
    cursor, model = saved.cursor, _whole(folder / MODEL)
    if model is None:
        # Its best model was removed or damaged: the next evaluation writes it anew, whatever its loss.
        cursor["best_val_loss"], cursor["evaluated"] = None, -1
    elif model.val_loss is not None and (model.step or 0) > cursor.get("step", 0):
        # It is of steps that a kill has lost: only what is better may replace it, or the same, come to again.
        cursor["best_val_loss"] = math.nextafter(model.val_loss, math.inf)
    return saved


def _changed(run: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A run's settings with another end, or for another device; of that the precision is measured if none is asked for.

    Raises:
        UsageError: a value that cannot be, no such device, or a precision that does not work on it.
    """
    check_partial("train", dict(changes))
    asked = {name: value for name, value in changes.items() if getattr(run.train, name) != value}
    if asked.keys() & set(BUDGETS):
        asked = {**{name: changes.get(name) for name in BUDGETS}, **asked}
    if asked.keys() & {"device", "precision"}:
        device = asked.get("device", run.train.device)
        same_kind = device.partition(":")[0] == run.train.device.partition(":")[0]
        precision = changes.get("precision") or (run.train.precision if same_kind else None)
        machine = probe.probe(device, precision, asked.get("threads", run.train.threads))
        asked |= {"device": machine.device, "precision": machine.precision}
    return run.replace(train=parse(TrainConfig, {**to_plain(run.train), **asked}))


def _check_same(run: RunConfig, given: Given) -> None:
    """Refuse settings that are not the run's, but for its budget.

    Raises:
        UsageError: one of them would have to change.
    """
    for section, name in differing(run, given):
        raise UsageError(
            f"`{name}` is {run.to_plain()[section][name]} in this run, not {given[section][name]}",
            hint="Only its budget and its device can change when a run is resumed; another name starts another run.",
        )


_NO_LONGER = (
    "the text is no longer the one this run was trained on",
    "To learn from the new text, begin a new run from the weights of this one.",
)


def _told_of_changes(run: RunConfig, corpus: CorpusProvenance, cache: Path) -> str:
    """What to tell of a text that is no longer as it was, while the cache still has it as it was; else nothing."""
    if STDIN in run.data.sources:
        return ""
    where = ", ".join(run.data.sources)
    try:
        now = opened(run.data, cache, None)
        unread = corpus.fingerprint and now.fingerprint() == corpus.fingerprint
        unchanged = unread or now.sha256(raw=run.data.tokenizer == "byte") == corpus.sha256
    except CharlstmError as fault:
        return f"{where} cannot be read now ({fault.what}); the run goes on with the text as it was."
    if unchanged:
        return ""
    return f"{where}: changed since this run began; the run goes on with the text as it was."


def _whole(model: Path) -> Provenance | None:
    """Where a model comes from; None if it is not there, or damaged."""
    try:
        return checkpoint_format.read(model, kind="model").provenance
    except CharlstmError:
        return None
