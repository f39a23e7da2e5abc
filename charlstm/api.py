"""charlstm as a library: load a model, let it write, score a text, train as an iterator of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.store import ROOT, Store
from charlstm.config import all_settings, section_of
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.errors import ConfigError, UsageError
from charlstm.evaluation.score import EncodedText, Losses, Method, Score, score_tokens
from charlstm.events import Event
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.fill import fill, fit_text
from charlstm.filling.readers import reader_of
from charlstm.paths import cache_folder
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.prompts import Unknown, bos_ids, fit_prompt
from charlstm.sampling.sampler import sample
from charlstm.schemas import no_such_setting

if TYPE_CHECKING:
    from charlstm.evaluation.dynamic import DynamicConfig
    from charlstm.nn.model import CharLM

_Config = TypeVar("_Config", SampleConfig, FillConfig, "DynamicConfig")


class Model:
    """A trained network, ready to write and to score.

    Args:
        checkpoint: what `checkpoint.format.read` gave.

    Attributes:
        engine: the network in NumPy, to be stepped by hand: ``logits, state = model.engine.step(ids, state)``; or a
            `BidirectionalEngine`: ``logits = model.engine.logits(ids)``.
        tokenizer: text to ids and back.
        config: the run's settings.
        provenance: where the weights come from.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.engine = load_engine(checkpoint)
        self.tokenizer = self.engine.tokenizer
        self.config = checkpoint.run
        self.provenance = checkpoint.provenance
        self._torch_models: dict[str, CharLM] = {}

    def __repr__(self) -> str:
        shape = self.config.model
        members = f"{shape.ensemble} of " if shape.ensemble > 1 else ""
        return f"<charlstm.Model {self.config.name}: {members}{shape.num_layers}×{shape.hidden_size} {shape.cell}>"

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
        checkpoint_format.check_causal(self.checkpoint)
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
        typed, read, _ = fit_text(self.tokenizer, text, unknown)
        return fill(reader_of(self.engine), self.tokenizer, read, config, shown=typed)

    def score(
        self,
        text: str,
        *,
        exact: bool = False,
        device: str | None = None,
        progress: Callable[[int], object] = lambda tokens: None,
    ) -> Score:
        """Score a text token by token, the first as the first of any text.

        A text of fewer than 65,536 tokens is read in order, in fp32. A longer one is read in parallel streams and in
        bf16 where that is faster (`evaluation.method.choose_method`): the mean loss differs by less than 0.001 nats.

        A bidirectional network scores each token given all those around it. Those losses do not add up to a likelihood
        of the text.

        Args:
            text: at least one character, all of them known to the model.
            exact: read a long text in order, in fp32, too.
            device: as torch names it; None is a CUDA GPU if there is one, else the CPU.
            progress: called after each window with its number of tokens.

        Returns:
            The loss of each token, and the figures that follow from them; they are not finite if a loss is not.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: the text is empty, or there is no such device here.
        """
        from charlstm.evaluation.method import choose_method, text_losses
        from charlstm.evaluation.objective import objective_of

        encoded = self._encoded(text)
        model = self._torch_model(device)
        objective, context = objective_of(self.config), np.array(bos_ids(self.tokenizer))
        method = choose_method(objective, model, encoded.ids, context, exact=exact)
        losses = text_losses(objective, model, encoded.ids, context, method)
        return score_tokens(_reported(losses, progress), encoded, self.tokenizer, method)

    def score_dynamic(
        self,
        text: str,
        *,
        device: str | None = None,
        progress: Callable[[int], object] = lambda tokens: None,
        **settings: Any,
    ) -> Score:
        """Score a text by a copy of the network that learns from it, each token before it is learned from.

        The model itself does not change.

        Args:
            text: as `score`.
            device: as `score`.
            progress: as `score`.
            settings: of `evaluation.dynamic.DynamicConfig`: segment, lr, decay.

        Returns:
            As `score`; the text is always read in order.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: the text is empty, a setting is out of range, or there is no such device here.
            IncompatibleError: the network is bidirectional, so it has no order in which to learn.
            DivergedError: the loss is no longer a finite number: it learned too fast.
        """
        from charlstm.evaluation.dynamic import DynamicConfig, dynamic_losses

        checkpoint_format.check_causal(self.checkpoint, lacking="has no order in which to learn from a text")
        config = _configured(DynamicConfig, settings)
        encoded = self._encoded(text)
        context = np.array(bos_ids(self.tokenizer))
        losses = dynamic_losses(self._torch_model(device), encoded.ids, context, config)
        return score_tokens(_reported(losses, progress), encoded, self.tokenizer, Method())

    def _encoded(self, text: str) -> EncodedText:
        ids = self.tokenizer.encode(text)
        if not len(ids):
            raise UsageError("an empty text has no score")
        return EncodedText(ids, len(text), len(text.encode("utf-8", "surrogateescape")))

    def _torch_model(self, device: str | None) -> CharLM:
        """The network in torch, made once for each device."""
        from charlstm.training.plan.probe import best_device

        name = device or best_device()
        if name not in self._torch_models:
            self._torch_models[name] = torch_model(self.checkpoint, name)
        return self._torch_models[name]


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
    return Model(checkpoint_format.read_model(path))


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
        settings: any of `config.all_settings`, as ``hidden_size=256``, ``max_time=60``.

    Yields:
        `events.Started` first, `events.Stopped` last; the files are in ``root/name``.

    Raises:
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    from charlstm.filling.preview import write_preview
    from charlstm.training import prepare

    given: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "train": {}}
    for setting, value in settings.items():
        section = section_of(setting)
        if section is None:
            raise ConfigError(no_such_setting(setting, all_settings()))
        given[section][setting] = value
    given["data"]["sources"] = tuple(map(str, sources)) or ("english",)
    store = Store(root)
    prepared = prepare.prepare(given, cache_folder() if cache is None else Path(cache))
    folder = store.create(name, prepared.encoded.name, force)
    with store.lock(folder):
        yield from prepare.begin(prepared, folder, write_preview=write_preview).events()


def _configured(kind: type[_Config], settings: dict[str, Any]) -> _Config:
    strange = settings.keys() - kind.__dataclass_fields__.keys()
    if strange:
        known = ", ".join(kind.__dataclass_fields__)
        raise ConfigError(f"no such setting: {min(strange)}", hint=f"There are {known}.")
    try:
        return kind(**settings)
    except TypeError as fault:
        raise ConfigError(f"a setting is of the wrong kind ({fault})") from fault


def _reported(losses: Losses, progress: Callable[[int], object]) -> Losses:
    """The same losses; ``progress`` is called with the number of tokens of each window."""
    for positions, values in losses:
        progress(len(positions))
        yield positions, values
