"""Prepares a run: from a text and a few settings to everything that training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from charlstm import __version__
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import CorpusProvenance, Provenance
from charlstm.config import DataConfig, RunConfig, check_partial
from charlstm.corpora.check import leakage_warning
from charlstm.corpora.encode import Encoded, encode
from charlstm.corpora.known_text import (
    as_list,
    ends_of_records,
    load_known_text,
    open_as_given,
    training_and_validation,
)
from charlstm.corpora.lists import Choice, choose_records
from charlstm.corpora.read import Corpus
from charlstm.corpora.reading_notes import reading_notes
from charlstm.corpora.records import NONE
from charlstm.errors import EncodingError
from charlstm.schemas import parse
from charlstm.tokenizers import from_state
from charlstm.training.beginning import ALONE, Beginning, Session, TrainingText
from charlstm.training.distributed import Ranks
from charlstm.training.finetune import extend_tokenizer, inherit_settings, initial_weights, new_tokens
from charlstm.training.loop import Training
from charlstm.training.memory import translate_oom
from charlstm.training.plan import probe
from charlstm.training.plan.choose import Plan, choose
from charlstm.training.plan.merge import Given
from charlstm.training.plan.start import NO_CHOICE, Start, choose_start, may_start_from_another, start_from


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start; only the cache of encoded texts has been written."""

    encoded: Encoded
    plan: Plan
    init: Checkpoint | None = None
    """The checkpoint whose weights the run starts from."""
    start: Start = NO_CHOICE
    """Whether that is the starter, by choice of the plan, and why."""


def prepare(
    given: Given,
    cache: Path,
    *,
    stdin: BinaryIO | None = None,
    init: Checkpoint | None = None,
    starter: Callable[[], Checkpoint | None] = lambda: None,
    progress: Callable[[int, int], None] | None = None,
    before_measuring: Callable[[], None] = lambda: None,
) -> Prepared:
    """Read and encode the text, and choose the remaining settings; the run is named after its text for now.

    The machine is measured after the text has been read, so that an unreadable text is reported at once.

    Args:
        given: explicit settings, by section.
        cache: the folder of the cache of encoded texts.
        stdin: the stream that the source ``-`` stands for.
        init: a model to start from: its architecture is kept, and its alphabet may be extended.
        starter: reads the starter, which the run begins from if that is better; it may return None.
        progress: called while encoding, with the bytes done and the total.
        before_measuring: called once the text is read, before the machine is measured.

    Returns:
        The prepared run.

    Raises:
        CharlstmError: the text cannot be read, a setting is invalid, or the machine is too small.
    """
    for section, values in given.items():
        check_partial(section, dict(values))
    data = parse(DataConfig, given.get("data", {}))
    as_given, start = open_as_given(data, cache, stdin), NO_CHOICE
    with _bytes_suggested():
        listed = _choose_list(as_given, given)
        corpus = as_list(as_given, listed.records, cache)
        if init is None and may_start_from_another(given):
            init, start = _starter_if_better(starter(), corpus, given.get("train", {}).get("max_time"))
        if init is not None:
            given = inherit_settings(init, given)
            data = parse(DataConfig, given.get("data", {}))
            start = start if start.from_starter else start_from(init, corpus)
        tokenizer = extend_tokenizer(init, corpus, data, cache) if init is not None else None
        encoded = encode(corpus, data, cache, tokenizer=tokenizer, progress=progress)
    train = given.get("train", {})
    before_measuring()
    machine = probe.probe(train.get("device"), train.get("precision"), train.get("threads"))
    effective_vocab_size = encoded.effective_vocab_size()
    ends = ends_of_records(encoded, listed.records)
    records = 0 if ends is None else len(ends)
    plan = choose(
        corpus.name,
        len(encoded.ids),
        encoded.tokenizer.vocab_size,
        machine,
        given,
        effective_vocab_size=effective_vocab_size,
        begun_at=None if init is None else start.bits,
        listed=listed,
        records=records,
    )
    notes = (*reading_notes(as_given), *_notes(corpus, encoded, plan.run.data, listed, records))
    return Prepared(encoded, replace(plan, notes=(*notes, *plan.notes)), init, start)


@contextmanager
def _bytes_suggested() -> Iterator[None]:
    """Add to the error of a text that is none that there is a tokenizer for it: here it can be chosen."""
    try:
        yield
    except EncodingError as fault:
        fault.hint = f"{fault.hint} `tokenizer='byte'` takes any file.".strip()
        raise


def _notes(corpus: Corpus, encoded: Encoded, data: DataConfig, listed: Choice, records: int) -> Iterator[str]:
    """What a person should know about the text before it is trained on."""
    if records:
        why = f": {listed.reason} (`records={NONE!r}` takes it as one text)" if listed.reason else ""
        yield f"a list of {records:,} texts{why}"
    if listed.warning:
        yield listed.warning
    if listed.records == NONE and encoded.tokenizer.kind != "byte":
        leak = leakage_warning(corpus, encoded.characters, data.val_fraction)
        if leak:
            yield leak


def _choose_list(corpus: Corpus, given: Given) -> Choice:
    """Decide whether a text is a list of texts, unless the settings say so or exclude it."""
    data, bidirectional = given.get("data", {}), given.get("model", {}).get("bidirectional")
    if data.get("tokenizer") == "byte" and not corpus.records:
        return Choice(data.get("records", NONE))  # it may be no text
    excluded = bidirectional or data.get("windows") == "shuffled"
    return choose_records(corpus, data.get("records", NONE if excluded else None))


def _starter_if_better(
    starter: Checkpoint | None, corpus: Corpus, max_time: float | None
) -> tuple[Checkpoint | None, Start]:
    """Return the starter if the run is to begin from it, else None; and the decision."""
    if starter is None:
        return None, NO_CHOICE
    start = choose_start(starter, corpus, max_time)
    return starter if start.from_starter else None, start


def shared(ranks: Ranks, prepare: Callable[[], Prepared], cache: Path) -> Prepared:
    """Prepare a run on rank 0 and share it with all ranks, each of which reads the text on its own machine.

    Args:
        ranks: this process among those that train together.
        prepare: prepares the run; only rank 0 calls it.
        cache: each machine's folder of the cache of encoded texts.

    Returns:
        The prepared run, equal on all ranks.

    Raises:
        CharlstmError: rank 0 could not prepare the run, it cannot be trained by several ranks, or a machine has another
            text.
    """
    own: list[Prepared] = []  # on rank 0

    def decide() -> tuple[Plan, dict[str, Any], str]:
        prepared = prepare()
        ranks.check(prepared.plan.run)
        own.append(prepared)
        return prepared.plan, prepared.encoded.tokenizer.to_state(), prepared.encoded.corpus_sha256

    plan, state, sha256 = ranks.on_rank_zero(decide)

    def text() -> Encoded:
        if own:
            return own[0].encoded
        return load_known_text(plan.run.data, from_state(state), sha256, cache, None, _UNLIKE_RANK_0)

    encoded = ranks.local_first(text)
    return own[0] if own else Prepared(encoded, plan)


def begin(
    prepared: Prepared, folder: Path, *, provenance: Provenance | None = None, session: Session = ALONE
) -> Training:
    """Create the training of a prepared run.

    Args:
        prepared: the prepared run.
        folder: the folder for the run's files, written by rank 0; its name becomes the run's name.
        provenance: the origin of the run, apart from its text, version and progress.
        session: how it is trained.

    Returns:
        The training, before its first step.
    """
    run = prepared.plan.run.replace(name=folder.name)
    return assemble(run, prepared.encoded, folder, beginning_of(prepared, provenance or Provenance()), session)


def beginning_of(prepared: Prepared, provenance: Provenance) -> Beginning:
    """Return what a prepared run begins with.

    Args:
        prepared: the prepared run.
        provenance: the origin of the run, apart from its text and version.
    """
    encoded, init = prepared.encoded, prepared.init
    corpus = CorpusProvenance(**encoded.provenance())
    origin = "" if init is None else f"{init.run.name} {init.sha256}"
    provenance = provenance.replace(charlstm=__version__, corpus=corpus, init_from=origin)
    if init is None:
        return Beginning(provenance)
    weights = initial_weights(init, prepared.plan.run, encoded.tokenizer)
    return Beginning(provenance, weights, new_tokens(init, encoded.tokenizer), init.words)


_UNLIKE_RANK_0 = ("the text here is not the one that process 0 has", "Copy the same files to every machine.")


def assemble(run: RunConfig, encoded: Encoded, folder: Path, beginning: Beginning, session: Session) -> Training:
    """Split the text into training and validation parts, and create the training of a run.

    Args:
        run: all settings.
        encoded: the encoded text and its tokenizer.
        folder: the folder for the run's files.
        beginning: where the run comes from.
        session: how it is trained.

    Returns:
        The training, before its first step.

    Raises:
        OutOfMemoryError: the network does not fit into memory.
    """
    train_ids, val_ids = training_and_validation(encoded, run.data)
    characters = encoded.text_size(len(train_ids), len(encoded.ids)).characters
    with translate_oom():
        return Training(
            run, TrainingText(encoded.tokenizer, train_ids, val_ids, characters), folder, beginning, session
        )
