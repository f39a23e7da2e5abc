"""charlstm as a library: load a model, let it write, score a text, train as an iterator of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.store import ROOT, Store
from charlstm.config import section_of
from charlstm.engine import BidirectionalEngine, Engine, engine_of
from charlstm.errors import ConfigError, UsageError
from charlstm.events import Event
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.fill import fill, fitted
from charlstm.filling.readers import reader_of
from charlstm.paths import cache_folder
from charlstm.sampling.prompts import Unknown, fit_prompt, opening
from charlstm.sampling.sampler import SampleConfig, sample

if TYPE_CHECKING:
    from charlstm.evaluation.dynamic import DynamicConfig
from charlstm.engine.load import torch_model
from charlstm.evaluation.score import Score

_Config = TypeVar("_Config", SampleConfig, FillConfig, "DynamicConfig")


class Model:
    """A trained network, ready to write and to score.

    Args:
        checkpoint: what `checkpoint.format.read` gave.

    Attributes:
        engine: the network in NumPy, to be stepped by hand: ``logits, state = model.engine.step(ids, state)``; or a
            `BidirectionalEngine`: ``logits = model.engine.logits(ids)``.
        tokenizer: text to ids and back.
        config: the run's settings, plain values.
        provenance: where the weights come from, plain values.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.engine = engine_of(checkpoint)
        self.tokenizer = self.engine.tokenizer
        self.config = checkpoint.config
        self.provenance = checkpoint.provenance

    def __repr__(self) -> str:
        model = self.config["model"]
        several = f"{model['ensemble']} of " if model.get("ensemble", 1) > 1 else ""
        shape = f"{several}{model['num_layers']}×{model['hidden_size']}"
        return f"<charlstm.Model {self.config['name']}: {shape} {model['cell']}>"

    @property
    def bidirectional(self) -> bool:
        """Whether it reads both ways, so that it can fill and not write."""
        return isinstance(self.engine, BidirectionalEngine)

    @property
    def writer(self) -> Engine:
        """The engine, of a network that writes on.

        Raises:
            IncompatibleError: it reads both ways.
        """
        checkpoint_format.check_writes_on(self.checkpoint)
        assert isinstance(self.engine, Engine)
        return self.engine

    def stream(self, prompt: str = "", *, unknown: Unknown = "error", **settings: Any) -> Iterator[str]:
        """Write on after a prompt, a few characters at a time.

        Args:
            prompt: the text to go on from; it is not given out.
            unknown: what to do with a character of the prompt the model does not know: error, skip or map.
            settings: of `sampling.SampleConfig`: length, temperature, top_k, top_p, min_p, repetition_penalty,
                stop, lines, seed.

        Yields:
            Text; joined it is the whole text drawn.

        Raises:
            UnknownCharacter: the prompt has a character outside the alphabet.
            UsageError: a setting that cannot be.
            IncompatibleError: the network reads both ways, so it cannot write on.
        """
        config = _configured(SampleConfig, settings)
        fitted, _ = fit_prompt(self.tokenizer, prompt, unknown)
        for fragment in sample(self.writer, self.tokenizer.encode(fitted), config):
            yield fragment.text

    def generate(self, prompt: str = "", *, unknown: Unknown = "error", **settings: Any) -> str:
        """The text `stream` gives, as a whole.

        Raises:
            UsageError: nothing would end it; besides what `stream` raises.
        """
        if settings.get("length") == 0 and not (settings.get("stop") or settings.get("lines")):
            raise UsageError("a text without length, stop or lines never ends", hint="Use stream() for an endless one.")
        return "".join(self.stream(prompt, unknown=unknown, **settings))

    def fill(self, text: str, *, unknown: Unknown = "error", **settings: Any) -> list[Filling]:
        """Fill the blanks of a text; the likeliest answer first.

        Args:
            text: with blanks as `blanks.parse` reads them: ``____``, ``{}``, ``{3-9}``.
            unknown: as `stream`; in the answers the character stands as it was.
            settings: of `filling.FillConfig`: count, temperature, candidates, newlines, seed.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: a blank or a setting that cannot be, or no blank.
        """
        config = _configured(FillConfig, settings)
        typed, read, _ = fitted(self.tokenizer, text, unknown)
        return fill(reader_of(self.engine), self.tokenizer, read, config, shown=typed)

    def score(self, text: str, *, progress: Callable[[int], object] = lambda more: None) -> Score:
        """How surprising a text is, token by token, its first judged as the first of any text.

        To a network that reads both ways each token is hidden once: its surprise is that of a gap, not of a next token,
        and does not sum up to a likelihood of the text.

        Args:
            text: at least one character, all of them known to the model.
            progress: called now and then with the number of tokens read since the last call.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: the text is empty.
        """
        from charlstm.evaluation.loss import surprise
        from charlstm.evaluation.masked import surprise_both_sides

        ids = self._scorable(text)
        model = torch_model(self.checkpoint)
        if self.bidirectional:
            nats = surprise_both_sides(model, ids, self.config["data"]["seq_len"], progress=progress)
        else:
            nats = surprise(model, ids, np.array(opening(self.tokenizer)), progress=progress)
        return self._scored(text, ids, nats)

    def score_dynamic(
        self, text: str, *, progress: Callable[[int], object] = lambda more: None, **settings: Any
    ) -> Score:
        """How surprising a text is to a network that learns from it as it reads, each token before it is learned from.

        It is a copy that learns: the model stays as it is.

        Args:
            text: as `score`.
            progress: as `score`.
            settings: of `dynamic.DynamicConfig`: segment, lr, decay.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: the text is empty, or a setting that cannot be.
            IncompatibleError: the network reads both ways, so it has no order to learn in.
            DivergedError: it learned so fast that its loss is no longer a finite number.
        """
        from charlstm.evaluation.dynamic import DynamicConfig, surprise_while_learning

        checkpoint_format.check_writes_on(self.checkpoint, lacking="has no order in which to learn from a text")
        config = _configured(DynamicConfig, settings)
        ids = self._scorable(text)
        before = opening(self.tokenizer)[-1]
        nats = surprise_while_learning(torch_model(self.checkpoint), ids, before, config, progress=progress)
        return self._scored(text, ids, nats)

    def _scorable(self, text: str) -> NDArray[Any]:
        ids = self.tokenizer.encode(text)
        if not len(ids):
            raise UsageError("an empty text has no score")
        return ids

    def _scored(self, text: str, ids: NDArray[Any], nats: NDArray[np.float32]) -> Score:
        tokens = tuple(self.tokenizer.token_bytes(int(token)) for token in ids)
        return Score(nats, tokens, len(text), len(text.encode("utf-8", "surrogateescape")))


def load(reference: str | Path | None = None, *, root: str | Path = ROOT) -> Model:
    """Load a model.

    Args:
        reference: a run's name, a folder, a file, ``"latest"`` or ``"starter"``; None is the newest run, else the
            starter.
        root: the folder runs are kept in.

    Raises:
        NotFoundError: there is no such model.
        CheckpointError: the file cannot be used.
    """
    path = find_model(Store(root), None if reference is None else str(reference))
    checkpoint = checkpoint_format.read(path, kind="model")
    checkpoint_format.check_model(checkpoint, path)
    return Model(checkpoint)


def train(
    *sources: str | Path,
    name: str | None = None,
    root: str | Path = ROOT,
    cache: str | Path | None = None,
    force: bool = False,
    **settings: Any,
) -> Iterator[Event]:
    """Train a network on a text; what is not set chooses itself.

    Args:
        sources: files, folders, globs or names; none is the bundled corpus.
        name: the run's name; None is the corpus and a number.
        root: the folder runs are kept in.
        cache: where encoded texts are kept; None is this system's place.
        force: replace a run of that name.
        settings: any setting of `config.ModelConfig`, `DataConfig` and `TrainConfig`, as ``hidden_size=256``,
            ``max_time=60``.

    Yields:
        `events.Started` first, `events.Stopped` last; the files are in ``root/name``.

    Raises:
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    from charlstm.training import prepare

    given: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}}
    for setting, value in settings.items():
        try:
            given[section_of(setting)][setting] = value
        except StopIteration:
            raise ConfigError(f"there is no setting {setting!r}") from None
    given["data"]["sources"] = tuple(map(str, sources)) or ("english",)
    store = Store(root)
    prepared = prepare.prepare(given, cache_folder() if cache is None else Path(cache))
    folder = store.create(name, prepared.encoded.name, force)
    with store.lock(folder):
        yield from prepare.begin(prepared, folder, {}).events()


def _configured(kind: type[_Config], settings: dict[str, Any]) -> _Config:
    strange = settings.keys() - kind.__dataclass_fields__.keys()
    if strange:
        known = ", ".join(kind.__dataclass_fields__)
        raise ConfigError(f"no such setting: {min(strange)}", hint=f"There are {known}.")
    try:
        return kind(**settings)
    except TypeError as fault:
        raise ConfigError(f"a setting is of the wrong kind ({fault})") from fault
