"""From a text and a few settings to a run that is ready to train; from a run's folder to its exact continuation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from charlstm import __version__
from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.store import MODEL, RESUME
from charlstm.config import BUDGETS, DataConfig, ModelConfig, RunConfig, check_partial, differing, kept
from charlstm.corpora.encode import Encoded, cached, encode, fit_tokenizer, split
from charlstm.corpora.read import Corpus
from charlstm.corpora.sources import STDIN, open_sources
from charlstm.distributed import ALONE, Ranks
from charlstm.errors import CharlstmError, ConfigError, NotFoundError, TextError, UnknownCharacter, UsageError
from charlstm.settings import probe
from charlstm.settings.choose import Plan, choose
from charlstm.shapes import RECALL_TABLE
from charlstm.tokenizers import CharTokenizer, Tokenizer, from_state
from charlstm.training import Training

Given = Mapping[str, Mapping[str, Any]]
"""Settings made by hand, by section: ``{"model": {"hidden_size": 256}}``."""


@dataclass(frozen=True)
class Prepared:
    """A run that could start now: nothing has been written but the cache of encoded text."""

    encoded: Encoded
    plan: Plan
    init: Checkpoint | None = None
    """The checkpoint whose weights are the start."""


def merge(*layers: Given) -> dict[str, dict[str, Any]]:
    """Settings in rising order: a later layer's value wins."""
    merged: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}}
    for layer in layers:
        for section, values in layer.items():
            merged[section] |= {name: value for name, value in values.items() if value is not None}
    return merged


def prepare(
    given: Given,
    cache: Path,
    *,
    stdin: BinaryIO | None = None,
    init: Checkpoint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read and encode the text, and complete the settings; the run is called as the corpus until it has a folder.

    The machine is measured after the text has been read, so that bad text is told of at once.

    Args:
        given: the settings made by hand, by section.
        cache: where encoded texts are kept.
        stdin: what the source ``-`` reads.
        init: a model to start from: its shape and alphabet are kept, and the alphabet may grow.
        progress: called while encoding, with bytes done and bytes in all.

    Raises:
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    for section, values in given.items():
        check_partial(section, dict(values))
    if init is not None:
        given = _with_shape_of(init, given)
    data = DataConfig(**given.get("data", {}))
    corpus = _opened(data, cache, stdin)
    tokenizer = _grown(init, corpus, data, cache) if init is not None else None
    encoded = encode(corpus, data, cache, tokenizer=tokenizer, progress=progress)
    train = given.get("train", {})
    machine = probe.probe(train.get("device"), train.get("precision"), train.get("threads"))
    plan = choose(corpus.name, len(encoded.ids), encoded.tokenizer.vocab_size, machine, given, common=encoded.common())
    return Prepared(encoded, plan, init)


def shared(ranks: Ranks, prepare: Callable[[], Prepared], cache: Path) -> Prepared:
    """What rank 0 has prepared, on every rank: its settings and its tokenizer, and the text that lies on each machine.

    Args:
        ranks: all of them.
        prepare: what rank 0 does.
        cache: where each machine keeps encoded texts.

    Raises:
        CharlstmError: rank 0 could not prepare it, its settings cannot be shared out, or a machine has another text.
    """
    kept: list[Prepared] = []

    def decide() -> tuple[Plan, dict[str, Any], str]:
        prepared = prepare()
        ranks.check(prepared.plan.run)
        kept.append(prepared)
        return prepared.plan, prepared.encoded.tokenizer.to_state(), prepared.encoded.corpus_sha256

    plan, state, sha256 = ranks.by_first(decide)

    def text() -> Encoded:
        return kept[0].encoded if kept else _same_text(plan.run, from_state(state), sha256, cache, None, _NOT_RANK_0S)

    encoded = ranks.together(text)
    return kept[0] if kept else Prepared(encoded, plan)


def begin(prepared: Prepared, folder: Path, provenance: Mapping[str, Any], ranks: Ranks = ALONE) -> Training:
    """The training of a prepared run, its files to be written into ``folder`` by rank 0."""
    run, encoded = prepared.plan.run.model_copy(update={"name": folder.name}), prepared.encoded
    weights = None if prepared.init is None else _fitted_weights(prepared.init, run, encoded.tokenizer)
    about = {"charlstm": __version__, "corpus": encoded.about(), **provenance}
    return _training(run, encoded, folder, about, ranks, weights=weights)


def resume(
    folder: Path,
    cache: Path,
    changes: Mapping[str, Any],
    *,
    stdin: BinaryIO | None = None,
    given: Given | None = None,
    ranks: Ranks = ALONE,
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

    Raises:
        NotFoundError: the run cannot be resumed.
        UsageError: the text is no longer the one the run was trained on, or the settings given are not; there is no
            such device.
        CheckpointError: the file it would go on from cannot be used.
    """
    saved = ranks.by_first(lambda: _saved(folder))
    run = kept(RunConfig, saved.config, folder / RESUME)
    _check_same(run, given or {})
    run = ranks.by_first(lambda: _changed(run, changes))
    tokenizer = from_state(saved.tokenizer)
    sha256 = saved.provenance["corpus"]["sha256"]
    encoded = ranks.together(lambda: _same_text(run, tokenizer, sha256, cache, stdin, _NO_LONGER))
    notice = ranks.by_first(lambda: _told_of_changes(run, sha256, cache))
    told = ("charlstm", "corpus", "command")
    provenance = {name: saved.provenance[name] for name in told if name in saved.provenance}
    return _training(run, encoded, folder, provenance, ranks, resume=saved, notice=notice)


def _saved(folder: Path) -> Checkpoint:
    path = folder / RESUME
    if not path.exists():
        raise NotFoundError(
            "there is nothing here to resume", where=folder, hint=f"A run can go on while it has its {RESUME}."
        )
    saved = checkpoint_format.read(path, kind="resume")
    cursor, model = saved.provenance["cursor"], _whole(folder / MODEL)
    if model is None:
        # Its best model was removed or damaged: the next evaluation writes it anew, whatever its loss.
        cursor["best_val_loss"], cursor["evaluated"] = None, -1
    elif model["step"] > cursor["step"] and model["val_loss"] is not None:
        # It is of steps that a kill has lost: only what is better may replace it, or the same, come to again.
        cursor["best_val_loss"] = math.nextafter(model["val_loss"], math.inf)
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
    return run.model_copy(update={"train": run.train.model_copy(update=asked)})


def _check_same(run: RunConfig, given: Given) -> None:
    """Refuse settings that are not the run's, but for its budget.

    Raises:
        UsageError: one of them would have to change.
    """
    for section, name in differing(run, given):
        raise UsageError(
            f"{name} is {getattr(getattr(run, section), name)} in this run, and {given[section][name]} was asked for",
            hint="Only its end and its device can change in a run that goes on; another --name starts another.",
        )


_Reread = tuple[str, str]
"""What to tell of a text that is not the one it should be, and what to do."""
_NO_LONGER = (
    "the text is no longer the one this run was trained on",
    "To learn from the new text, start a run with --init-from this one.",
)
_NOT_RANK_0S = ("the text here is not the one that process 0 has", "Copy the same files to every machine.")


def _same_text(
    run: RunConfig, tokenizer: Tokenizer, sha256: str, cache: Path, stdin: BinaryIO | None, told: _Reread
) -> Encoded:
    """A text known by its hash: from the cache, or read from its sources once more.

    Raises:
        UsageError: it is another text now.
    """
    found = cached(sha256, tokenizer, cache)
    if found is not None:
        return found
    changed = UsageError(told[0], where=", ".join(run.data.sources), hint=told[1])
    try:
        encoded = encode(_opened(run.data, cache, stdin), run.data, cache, tokenizer=tokenizer)
    except (TextError, UnknownCharacter) as fault:
        raise changed from fault
    if encoded.corpus_sha256 != sha256:
        raise changed
    return encoded


def _told_of_changes(run: RunConfig, sha256: str, cache: Path) -> str:
    """What to tell of a text that is no longer as it was, while the cache still has it as it was; else nothing."""
    if STDIN in run.data.sources:
        return ""
    where = ", ".join(run.data.sources)
    try:
        now = _opened(run.data, cache, None).sha256(raw=run.data.tokenizer == "byte")
    except CharlstmError as fault:
        return f"{where} cannot be read now ({fault.what}); the run goes on with the text as it was."
    if now == sha256:
        return ""
    return f"{where}: changed since this run began; the run goes on with the text as it was."


def _opened(data: DataConfig, cache: Path, stdin: BinaryIO | None) -> Corpus:
    return open_sources(data.sources, encoding=data.encoding, newlines=data.newlines, stdin=stdin, cache=cache)


def _whole(model: Path) -> dict[str, Any] | None:
    """Where a model comes from; None if it is not there, or damaged."""
    try:
        return checkpoint_format.read(model, kind="model").provenance
    except CharlstmError:
        return None


def _training(
    run: RunConfig,
    encoded: Encoded,
    folder: Path,
    provenance: dict[str, Any],
    ranks: Ranks,
    *,
    weights: dict[str, Any] | None = None,
    resume: Checkpoint | None = None,
    notice: str = "",
) -> Training:
    train_ids, val_ids = split(encoded.ids, run.data.val_fraction)
    characters = encoded.count(len(train_ids), len(encoded.ids)).characters
    return Training(
        run,
        encoded.tokenizer,
        train_ids,
        val_ids,
        characters,
        folder,
        provenance=provenance,
        weights=weights,
        resume=resume,
        notice=notice,
        ranks=ranks,
    )


def _with_shape_of(init: Checkpoint, given: Given) -> dict[str, dict[str, Any]]:
    """The settings with the network's shape and the tokenizer's kind taken from a checkpoint."""
    free = ("vocab_size", "dropout", "weight_drop", "ngram_dropout")
    whole = kept(ModelConfig, init.config["model"]).model_dump()
    shape = {name: value for name, value in whole.items() if name not in free}
    fixed = {"model": shape, "data": {"tokenizer": init.config["data"]["tokenizer"]}}
    for section, values in fixed.items():
        for name, value in values.items():
            asked = given.get(section, {}).get(name, value)
            if (tuple(asked) if isinstance(asked, list) else asked) != value:
                raise ConfigError(
                    f"{name} is {value} in the checkpoint to start from, and {asked} was asked for",
                    hint="Leave that setting out, or train without --init-from.",
                )
    return merge(given, fixed)


def _grown(init: Checkpoint, corpus: Corpus, data: DataConfig, cache: Path) -> Tokenizer:
    """The checkpoint's tokenizer, grown by the new characters of a text where it can grow."""
    tokenizer = from_state(init.tokenizer)
    if not isinstance(tokenizer, CharTokenizer):
        return tokenizer
    fitted = fit_tokenizer(corpus, data, cache)
    assert isinstance(fitted, CharTokenizer)
    return tokenizer.grown(fitted.alphabet, unknown=fitted.unknown_id is not None)


def _fitted_weights(init: Checkpoint, run: RunConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The checkpoint's weights, with rows for the characters it did not know.

    Known characters keep their rows wherever their id has moved to. A new one begins as the average character,
    a little less likely than any other.
    """
    import numpy as np

    old, new = from_state(init.tokenizer), tokenizer
    tensors = {name: np.asarray(tensor, np.float32) for name, tensor in init.tensors.items()}
    if not (isinstance(old, CharTokenizer) and isinstance(new, CharTokenizer)):
        return tensors
    rows = [old.alphabet.index(c) if c in old.alphabet else -1 for c in new.alphabet]
    if new.unknown_id is not None:
        rows.append(-1 if old.unknown_id is None else old.unknown_id)
    known = np.array(rows)
    mask = tensors["embedding.weight"][old.vocab_size :]  # of a bidirectional network
    for name in ("embedding.weight", "head.weight", "head.bias"):
        tensor = tensors[name][: old.vocab_size]
        strange = tensor.min(0) - 1 if name == "head.bias" else tensor.mean(0)
        grown = np.repeat(strange[None], run.model.vocab_size, 0)
        grown[known >= 0] = tensor[known[known >= 0]]
        tensors[name] = grown
    tensors["embedding.weight"] = np.concatenate((tensors["embedding.weight"], mask))
    if RECALL_TABLE in tensors:  # of each order one block: nothing, and behind it the characters
        blocks = tensors[RECALL_TABLE].reshape(len(run.model.recall), old.vocab_size + 1, -1)
        grown = np.repeat(blocks[:, 1:].mean(1, keepdims=True), run.model.vocab_size, 1)
        grown[:, known >= 0] = blocks[:, 1 + known[known >= 0]]
        tensors[RECALL_TABLE] = np.concatenate((blocks[:, :1], grown), 1).reshape(-1, blocks.shape[2])
    return tensors
