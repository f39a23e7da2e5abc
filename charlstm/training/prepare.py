"""From a text and a few settings to a run that is ready to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from charlstm import __version__
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import CorpusProvenance, Provenance
from charlstm.config import DataConfig, RunConfig, check_partial
from charlstm.corpora.encode import Encoded, cached, encode, split
from charlstm.corpora.read import Corpus
from charlstm.corpora.sources import open_sources
from charlstm.errors import TextError, UnknownCharacter, UsageError
from charlstm.schemas import parse
from charlstm.tokenizers import Tokenizer, from_state
from charlstm.training.distributed import SINGLE_PROCESS, Ranks
from charlstm.training.finetune import fitted_weights, grown, with_shape_of
from charlstm.training.loop import Training, WritePreview
from charlstm.training.plan import probe
from charlstm.training.plan.choose import Plan, choose
from charlstm.training.plan.merge import Given


@dataclass(frozen=True)
class Prepared:
    """A run that could start now: nothing has been written but the cache of encoded text."""

    encoded: Encoded
    plan: Plan
    init: Checkpoint | None = None
    """The checkpoint whose weights are the start."""


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
        given = with_shape_of(init, given)
    data = parse(DataConfig, given.get("data", {}))
    corpus = opened(data, cache, stdin)
    tokenizer = grown(init, corpus, data, cache) if init is not None else None
    encoded = encode(corpus, data, cache, tokenizer=tokenizer, progress=progress)
    train = given.get("train", {})
    machine = probe.probe(train.get("device"), train.get("precision"), train.get("threads"))
    vocab_size, common = encoded.tokenizer.vocab_size, encoded.effective_vocab_size()
    plan = choose(corpus.name, len(encoded.ids), vocab_size, machine, given, common=common)
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

    plan, state, sha256 = ranks.on_rank_zero(decide)

    def text() -> Encoded:
        return kept[0].encoded if kept else same_text(plan.run, from_state(state), sha256, cache, None, _NOT_RANK_0S)

    encoded = ranks.local_first(text)
    return kept[0] if kept else Prepared(encoded, plan)


def begin(
    prepared: Prepared,
    folder: Path,
    *,
    provenance: Provenance | None = None,
    ranks: Ranks = SINGLE_PROCESS,
    write_preview: WritePreview | None = None,
) -> Training:
    """The training of a prepared run.

    Args:
        prepared: what `prepare` returned.
        folder: where rank 0 writes the run's files; its name becomes the run's.
        provenance: what its checkpoints record of their origin, besides the text and what training knows.
        ranks: this process among those that train together.
        write_preview: writes the samples shown during training; None shows none.
    """
    run, encoded = prepared.plan.run.replace(name=folder.name), prepared.encoded
    weights = None if prepared.init is None else fitted_weights(prepared.init, run, encoded.tokenizer)
    corpus = CorpusProvenance(**encoded.provenance())
    about = (provenance or Provenance()).replace(charlstm=__version__, corpus=corpus)
    return assemble(run, encoded, folder, about, ranks, weights=weights, write_preview=write_preview)


_Reread = tuple[str, str]
"""What to tell of a text that is not the one it should be, and what to do."""
_NOT_RANK_0S = ("the text here is not the one that process 0 has", "Copy the same files to every machine.")


def same_text(
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
        encoded = encode(opened(run.data, cache, stdin), run.data, cache, tokenizer=tokenizer)
    except (TextError, UnknownCharacter) as fault:
        raise changed from fault
    if encoded.corpus_sha256 != sha256:
        raise changed
    return encoded


def opened(data: DataConfig, cache: Path, stdin: BinaryIO | None) -> Corpus:
    """The text that the settings name."""
    return open_sources(data.sources, encoding=data.encoding, newlines=data.newlines, stdin=stdin, cache=cache)


def assemble(
    run: RunConfig,
    encoded: Encoded,
    folder: Path,
    provenance: Provenance,
    ranks: Ranks,
    *,
    write_preview: WritePreview | None = None,
    weights: dict[str, Any] | None = None,
    resume: Checkpoint | None = None,
    notice: str = "",
) -> Training:
    """The training of a run, its text split into a training and a validation part."""
    train_ids, val_ids = split(encoded.ids, run.data.val_fraction)
    characters = encoded.text_size(len(train_ids), len(encoded.ids)).characters
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
        write_preview=write_preview,
    )
