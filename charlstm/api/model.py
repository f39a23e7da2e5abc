"""A trained network, ready to write, to fill, to score and to be looked into."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlstm.api.arguments import require_place, require_text, suggest_names
from charlstm.api.reading import Reading, reading_at
from charlstm.api.text_writer import TextWriter
from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.copying import write_new
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import MODEL
from charlstm.checkpoint.writing import Writing
from charlstm.config import RunConfig
from charlstm.corpora.training_text import training_ids
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.engine.products import Precision
from charlstm.errors import UsageError
from charlstm.evaluation.score import EncodedText, Losses, Method, Score, score_tokens
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.fill import fill, fit_text
from charlstm.filling.readers import reader_of
from charlstm.nn.architecture import Architecture
from charlstm.paths import cache_folder
from charlstm.sampling.config import require_texts, settings_for
from charlstm.sampling.position import prefill
from charlstm.sampling.prompts import Unknown, bos_ids, prompt_ids
from charlstm.sampling.records import draw_records
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.schemas import require, require_flag, require_whole

if TYPE_CHECKING:
    from charlstm.inspect.trace import Trace
    from charlstm.nn.model import CharLM

Progress = Callable[[int], object]
"""Called after each window of a text with its number of tokens."""


class Model(TextWriter):
    """A trained network. Threads may share it: nothing in it changes.

    Args:
        checkpoint: what `checkpoint.format.read_model` returned.
        precision: of the engine's products: ``"fp32"``, or ``"int8"``, which is faster and nearly the same; of a causal
            network.

    Attributes:
        engine: the network in NumPy, to step it yourself: ``logits, state = model.engine.step(ids, state)``; or a
            `BidirectionalEngine`: ``logits = model.engine.logits(ids)``.
        tokenizer: text to ids and back.
    """

    def __init__(self, checkpoint: Checkpoint, *, precision: Precision = "fp32") -> None:
        self.checkpoint = checkpoint
        self.engine = load_engine(checkpoint, precision=precision)
        self.tokenizer = self.engine.tokenizer
        self._torch_models: dict[str, CharLM] = {}

    def __repr__(self) -> str:
        shape = self.architecture
        members = f"{shape.ensemble} of " if shape.ensemble > 1 else ""
        return f"<charlstm.Model {self.config.name}: {members}{shape.num_layers}×{shape.hidden_size} {shape.cell}>"

    @property
    def architecture(self) -> Architecture:
        """The shape of the network."""
        return self.checkpoint.architecture

    @property
    def config(self) -> RunConfig:
        """The settings of the run that trained it."""
        return self.checkpoint.run

    @property
    def provenance(self) -> Provenance:
        """Where the weights come from, and how good they are."""
        return self.checkpoint.provenance

    @property
    def bidirectional(self) -> bool:
        """Whether it reads from both ends: it fills blanks, and cannot write."""
        return self.architecture.bidirectional

    @property
    def writer(self) -> Engine:
        """The engine of a causal network.

        Raises:
            IncompatibleError: it is bidirectional.
        """
        return self._causal_engine("cannot write")

    @property
    def writing(self) -> Writing:
        """How it writes unless told otherwise."""
        return self.checkpoint.writing

    @suggest_names
    def records(
        self,
        count: int = 10,
        *,
        new: bool = False,
        prompt: str = "",
        length: int = 0,
        temperature: float | None = None,
        top_k: int = 0,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        no_repeat: int | None = None,
        longest_run: int | None = None,
        seed: int | None = None,
        match: str | None = None,
        starts: str | tuple[str, ...] = (),
        max_line: int = 0,
        words: bool | str | Collection[str] = False,
        no_copy: int = 0,
        particles: int | None = None,
        source: str | tuple[str, ...] = (),
        unknown: Unknown = "error",
    ) -> list[str]:
        """Write whole records, all different, with a network that has read a list of texts.

        Args:
            count: how many; there are fewer if twenty draws for each do not give as many.
            new: whether to leave out those that the network has read; else they stand at the end.
            prompt: how each begins.
            length: tokens of the longest to draw; 0 is twice that of the longest it has read.
            temperature: see `stream`, as for all that follow.
            top_k: see there.
            top_p: see there.
            min_p: see there.
            repetition_penalty: see there.
            no_repeat: see there.
            longest_run: see there.
            seed: see there.
            match: see there.
            starts: see there.
            max_line: see there.
            words: see there.
            no_copy: see there.
            particles: see there.
            source: see there.
            unknown: see there.

        Returns:
            The records, without what separates them.

        Raises:
            UsageError: the network has read one text and no list; and what `stream` raises.
        """
        writing = self.writing
        if not writing.record:
            hint = "Train one with records='lines'."
            raise UsageError("this network has read one text, and no list of records", hint=hint)
        config = settings_for(
            writing, length=length, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
            repetition_penalty=repetition_penalty, no_repeat=no_repeat, longest_run=longest_run, seed=seed,
        )  # fmt: skip
        rules = RuleSettings(
            match=match, starts=starts, max_line=max_line, words=words, no_copy=no_copy, particles=particles
        )
        require_texts("source", source)
        known = self._known(prompt, unknown, "prompt")
        made = self._rules(rules, source) if rules.given else None
        drawn = draw_records(
            self.writer, writing, self.checkpoint.records, config, count,
            prompt=known, new_only=new, guide=made.after(known) if made else None,
            particles=made.particles if made else 1,
        )  # fmt: skip
        return [record.text for record in sorted(drawn, key=lambda record: not record.is_new)]

    @suggest_names
    def fill(
        self,
        text: str,
        *,
        count: int = 1,
        temperature: float = 0.0,
        candidates: int = 100,
        newlines: bool = False,
        seed: int | None = None,
        unknown: Unknown = "error",
    ) -> list[Filling]:
        """Fill the blanks of a text; the likeliest answer first.

        Args:
            text: with blanks: ``____`` is one of four tokens, ``{3-9}`` of three to nine, ``{}`` of any length.
            count: how many answers, all different.
            temperature: 0 returns the likeliest answers; above it they are drawn.
            candidates: the width of the beam.
            newlines: whether a blank may hold newlines.
            seed: of the draw, 0 to 2⁶⁴ - 1; None is random.
            unknown: as in `stream`; in the answers such a character stays as it was.

        Returns:
            At most ``count`` answers, all different.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: a blank or a setting is out of range, or there is no blank.
        """
        require_text("text", text)
        config = FillConfig(count, temperature, candidates, newlines, seed)
        typed, known, _ = fit_text(self.tokenizer, text, unknown)
        record = self.writing.record
        return fill(reader_of(self.engine), self.tokenizer, known, config, shown=typed, record=record)

    @suggest_names
    def score(
        self,
        text: str,
        *,
        exact: bool = False,
        device: str | None = None,
        progress: Progress = lambda tokens: None,
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

        require_flag("exact", exact)
        encoded = self._encoded(text)
        model = self._torch_model(device)
        objective, context = objective_of(self.config, self.tokenizer), np.array(bos_ids(self.tokenizer))
        method = choose_method(objective, model, encoded.ids, context, exact=exact)
        losses = text_losses(objective, model, encoded.ids, context, method)
        return score_tokens(_reported(losses, progress), encoded, self.tokenizer, method)

    @suggest_names
    def trace(self, text: str, *, unknown: Unknown = "error") -> Trace:
        """Read a text and keep everything that is computed: gates, candidates, states, probabilities.

        Args:
            text: at least one character.
            unknown: as in `stream`.

        Returns:
            The trace. It takes about 4 · layers · hidden_size · 40 bytes a token.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            UsageError: the text is empty.
        """
        from charlstm.inspect.trace import trace

        return trace(self._torch_model("cpu"), self._encoded(self._known(text, unknown)).ids)

    @suggest_names
    def score_dynamic(
        self,
        text: str,
        *,
        segment: int = 20,
        lr: float = 3e-4,
        decay: float = 1e-3,
        device: str | None = None,
        progress: Progress = lambda tokens: None,
    ) -> Score:
        """Score a text by a copy of the network that learns from it, each token before it is learned from.

        The model itself does not change.

        Args:
            text: as in `score`.
            segment: tokens scored between two steps.
            lr: the learning rate, about how far a weight moves in one step; 0 learns nothing.
            decay: the part of the way back to the trained weights taken in each step, 0 to 1; 0 never forgets.
            device: as in `score`.
            progress: as in `score`.

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
        config = DynamicConfig(segment, lr, decay)
        encoded = self._encoded(text)
        context = np.array(bos_ids(self.tokenizer))
        losses = dynamic_losses(self._torch_model(device), encoded.ids, context, config)
        return score_tokens(_reported(losses, progress), encoded, self.tokenizer, Method())

    @suggest_names
    def read(self, text: str = "", *, unknown: Unknown = "error") -> Reading:
        """Read a text as a prompt is read, and return what the network knows then.

        Args:
            text: any text; an empty one is read as a newline, after which texts begin.
            unknown: as in `stream`.

        Returns:
            The distribution of the next token, and the state of every layer.

        Raises:
            UnknownCharacter: the text has a character outside the alphabet.
            IncompatibleError: the network is bidirectional, so it has no next token.
        """
        engine = self._causal_engine("has no next token")
        known = self._known(text, unknown)
        ids = prompt_ids(self.tokenizer, known, self.writing.record)
        position = prefill(engine, ids if len(ids) else bos_ids(self.tokenizer))
        return reading_at(position, known, self.architecture.stacks, self.tokenizer)

    @suggest_names
    def next(self, text: str = "", *, top: int = 5, unknown: Unknown = "error") -> list[tuple[str, float]]:
        """The tokens that are likeliest to come next, each with its probability, the likeliest first.

        Args:
            text: as in `read`.
            top: how many, at least 1; fewer if the model knows fewer.
            unknown: as in `stream`.

        Raises:
            UsageError: ``top`` is out of range; and what `read` raises.
        """
        require_whole("top", top)
        require("top", top, top >= 1, "1 or more")
        return list(self.read(text, unknown=unknown).probabilities[:top])

    @suggest_names
    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the model to a file that `load` reads; it is written completely or not at all.

        Args:
            path: a ``….safetensors`` file, or a folder that gets a ``model.safetensors``.
            force: replace an existing file.

        Returns:
            The path of the file written.

        Raises:
            UsageError: the file exists, or the folder holds another run.
            StorageError: it cannot be written.
        """
        require_place("path", path)
        require_flag("force", force)
        target = Path(path) if Path(path).suffix == ".safetensors" else Path(path) / MODEL
        write_new(target, self.checkpoint, force=force)
        return target

    @suggest_names
    def to_torch(self, device: str = "cpu") -> CharLM:
        """The network as a torch module in evaluation mode: a copy, yours to change.

        Args:
            device: as torch names it.

        Raises:
            UsageError: there is no such device here.
        """
        return torch_model(self.checkpoint, device)

    def _rules(self, settings: RuleSettings, source: str | tuple[str, ...]) -> Rules:
        sources = (source,) if isinstance(source, str) else tuple(source)
        return Rules(
            settings,
            self.tokenizer,
            own_words=self.checkpoint.words,
            record=self.writing.record,
            training_ids=lambda: training_ids(self.checkpoint, sources, cache_folder()).ids,
        )

    def _causal_engine(self, lacking: str) -> Engine:
        checkpoint_format.check_causal(self.checkpoint, lacking=lacking)
        assert not isinstance(self.engine, BidirectionalEngine)
        return self.engine

    def _encoded(self, text: str) -> EncodedText:
        require_text("text", text)
        return EncodedText.of(text, self.tokenizer)

    def _torch_model(self, device: str | None) -> CharLM:
        """The network in torch, made once for each device."""
        from charlstm.nn.device import parse_device
        from charlstm.training.plan.probe import best_device

        name = best_device() if device is None else device
        parse_device(name)
        if name not in self._torch_models:
            self._torch_models[name] = torch_model(self.checkpoint, name)
        return self._torch_models[name]


def _reported(losses: Losses, progress: Progress) -> Losses:
    """The same losses; ``progress`` is called with the number of tokens of each window."""
    for positions, values in losses:
        progress(len(positions))
        yield positions, values
