"""A trained network, ready to write, to fill, to score and to be looked into."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlstm.api.arguments import require_text, suggest_names
from charlstm.api.reading import Reading, reading_at
from charlstm.checkpoint import format as checkpoint_format
from charlstm.checkpoint.copying import write_new
from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.run import MODEL
from charlstm.config import RunConfig
from charlstm.corpora.training_text import training_ids
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.load import load_engine, torch_model
from charlstm.engine.network import Engine
from charlstm.errors import UsageError
from charlstm.evaluation.score import EncodedText, Losses, Method, Score, score_tokens
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.fill import fill, fit_text
from charlstm.filling.readers import reader_of
from charlstm.nn.architecture import Architecture
from charlstm.paths import cache_folder
from charlstm.sampling.config import SampleConfig, require, require_whole, settings_for
from charlstm.sampling.position import prefill
from charlstm.sampling.prompts import Unknown, bos_ids, fit_prompt, prompt_ids
from charlstm.sampling.records import draw_records
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.sampler import sample

if TYPE_CHECKING:
    from charlstm.inspect.trace import Trace
    from charlstm.nn.model import CharLM

Progress = Callable[[int], object]
"""Called after each window of a text with its number of tokens."""


class Model:
    """A trained network. Threads may share it: nothing in it changes.

    Args:
        checkpoint: what `checkpoint.format.read_model` returned.

    Attributes:
        engine: the network in NumPy, to step it yourself: ``logits, state = model.engine.step(ids, state)``; or a
            `BidirectionalEngine`: ``logits = model.engine.logits(ids)``.
        tokenizer: text to ids and back.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.engine = load_engine(checkpoint)
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

    @suggest_names
    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float | None = None,
        top_k: int = 0,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        no_repeat: int | None = None,
        longest_run: int | None = None,
        stop: str | tuple[str, ...] = (),
        stop_after: str | tuple[str, ...] = (),
        lines: int = 0,
        seed: int | None = None,
        match: str | None = None,
        starts: str | tuple[str, ...] = (),
        max_line: int = 0,
        words: bool | str | Collection[str] = False,
        no_copy: int = 0,
        rhyme: bool = False,
        particles: int = 1,
        source: str | tuple[str, ...] = (),
        unknown: Unknown = "error",
    ) -> Iterator[str]:
        """Continue a prompt, a few characters at a time.

        Args:
            prompt: the text to continue; it is not returned.
            length: tokens to draw; 0 is endless.
            temperature: low is careful, high is wild; 0 always takes the likeliest token. None, as for ``top_p`` and
                ``min_p``, is what is stored with the network, ``checkpoint.writing``.
            top_k: keep only the k likeliest tokens; 0 is off.
            top_p: keep only the fewest likeliest tokens whose probabilities add up to this; 1 is off.
            min_p: keep only tokens at least this many times as likely as the likeliest; 0 is off.
            repetition_penalty: above 1 makes the last 64 tokens less likely; 1 is off.
            no_repeat: tokens of a passage that may be said again; going on with a longer one is made less likely. 0 is
                off, None is what is stored with the network.
            longest_run: equal tokens in a row, at most; 0 is off, None is what is stored with the network.
            stop: one text or several that end it; the stop text is not returned.
            stop_after: the same, but the stop text is returned.
            lines: newlines to draw; 0 is no limit.
            seed: 0 to 2⁶⁴ - 1; the same seed gives the same text. None is random.
            match: a regular expression that all of the returned text matches.
            starts: what the lines begin with, in order, after which the text ends: several, or one text with commas.
            max_line: characters of a line, at most; 0 is any number.
            words: whether letters may form only words of the training text (`sampling.words`); or only those of another
                text, or of a list.
            no_copy: no so many characters in a row, 20 or more, stand in the training text; 0 is off.
            rhyme: whether it is written in pairs of lines that rhyme.
            particles: texts drawn for each returned, to find one that the network likes under these rules; 1 is off.
            source: the training text, for ``no_copy``, if it is not where it was.
            unknown: what happens to characters of the prompt outside the model's alphabet: error, skip, or map to the
                nearest known ones.

        Returns:
            An iterator of texts, which join to the text that `generate` returns.

        Raises:
            UnknownCharacter: the prompt has a character outside the alphabet.
            UsageError: a setting is of the wrong type or out of range, or no text can keep the rules.
            NotFoundError: the training text is needed, and is not there.
            IncompatibleError: the network is bidirectional, so it cannot write.
        """
        config = settings_for(
            self.checkpoint.writing, length=length, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
            repetition_penalty=repetition_penalty, no_repeat=no_repeat, longest_run=longest_run, stop=stop,
            stop_after=stop_after, lines=lines, seed=seed,
        )  # fmt: skip
        rules = RuleSettings(
            match=match, starts=starts, max_line=max_line, words=words, no_copy=no_copy, rhyme=rhyme,
            particles=particles,
        )  # fmt: skip
        return self._stream(prompt, unknown, config, rules, source)

    @suggest_names
    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float | None = None,
        top_k: int = 0,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        no_repeat: int | None = None,
        longest_run: int | None = None,
        stop: str | tuple[str, ...] = (),
        stop_after: str | tuple[str, ...] = (),
        lines: int = 0,
        seed: int | None = None,
        match: str | None = None,
        starts: str | tuple[str, ...] = (),
        max_line: int = 0,
        words: bool | str | Collection[str] = False,
        no_copy: int = 0,
        rhyme: bool = False,
        particles: int = 1,
        source: str | tuple[str, ...] = (),
        unknown: Unknown = "error",
    ) -> str:
        """Continue a prompt: the text of `stream` as a whole, with the same arguments.

        Args:
            prompt: the text to continue; it is not returned.
            length: tokens to draw; 0 is endless, and then ``stop``, ``stop_after`` or ``lines`` must end the text.
            temperature: see `stream`, as for all that follow.
            top_k: see there.
            top_p: see there.
            min_p: see there.
            repetition_penalty: see there.
            no_repeat: see there.
            longest_run: see there.
            stop: see there.
            stop_after: see there.
            lines: see there.
            seed: see there.
            match: see there.
            starts: see there.
            max_line: see there.
            words: see there.
            no_copy: see there.
            rhyme: see there.
            particles: see there.
            source: see there.
            unknown: see there.

        Returns:
            The continuation, without the prompt.

        Raises:
            UsageError: nothing would end it; and what `stream` raises.
        """
        config = settings_for(
            self.checkpoint.writing, length=length, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
            repetition_penalty=repetition_penalty, no_repeat=no_repeat, longest_run=longest_run, stop=stop,
            stop_after=stop_after, lines=lines, seed=seed,
        )  # fmt: skip
        rules = RuleSettings(
            match=match, starts=starts, max_line=max_line, words=words, no_copy=no_copy, rhyme=rhyme,
            particles=particles,
        )  # fmt: skip
        if not config.ends:
            hint = "Give a length, stop, stop_after or lines; or use stream() for an endless one."
            raise UsageError("a text that nothing ends never ends", hint=hint)
        return "".join(self._stream(prompt, unknown, config, rules, source))

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
        particles: int = 1,
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
        writing = self.checkpoint.writing
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
        known, made = self._known(prompt, unknown, "prompt"), self._rules(rules, source)
        drawn = draw_records(
            self.writer, writing, self.checkpoint.records, config, count,
            prompt=known, new_only=new, guide=made.after(known) if made else None, particles=particles,
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
        record = self.checkpoint.writing.record
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
        ids = prompt_ids(self.tokenizer, known, self.checkpoint.writing.record)
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

    def _stream(
        self, prompt: str, unknown: Unknown, config: SampleConfig, rules: RuleSettings, source: str | tuple[str, ...]
    ) -> Iterator[str]:
        engine, known = self.writer, self._known(prompt, unknown, "prompt")
        writing = self.checkpoint.writing
        ids = prompt_ids(self.tokenizer, known, writing.record)
        made = self._rules(rules, source)
        guide, rhymes = (made.after(known), made.rhymes) if made else (None, None)
        fragments = sample(
            engine, ids, config, starts=writing.starts, guide=guide, particles=rules.particles, rhymes=rhymes
        )
        return (fragment.text for fragment in fragments)

    def _rules(self, settings: RuleSettings, source: str | tuple[str, ...]) -> Rules | None:
        """What makes the guides of some rules; None without a rule."""
        if not settings.given:
            return None
        sources = (source,) if isinstance(source, str) else tuple(source)
        return Rules(
            settings,
            self.tokenizer,
            own_words=self.checkpoint.words,
            record=self.checkpoint.writing.record,
            training_ids=lambda: training_ids(self.checkpoint, sources, cache_folder()).ids,
        )

    def _known(self, text: str, unknown: Unknown, name: str = "text") -> str:
        """A text in characters of the model's alphabet."""
        require_text(name, text)
        return fit_prompt(self.tokenizer, text, unknown, where=name)[0]

    def _causal_engine(self, lacking: str) -> Engine:
        checkpoint_format.check_causal(self.checkpoint, lacking=lacking)
        assert not isinstance(self.engine, BidirectionalEngine)
        return self.engine

    def _encoded(self, text: str) -> EncodedText:
        require_text("text", text)
        ids = self.tokenizer.encode(text)
        if not len(ids):
            raise UsageError("the text is empty")
        return EncodedText(ids, len(text), len(text.encode("utf-8", "surrogateescape")))

    def _torch_model(self, device: str | None) -> CharLM:
        """The network in torch, made once for each device."""
        from charlstm.training.plan.probe import best_device

        name = device or best_device()
        if name not in self._torch_models:
            self._torch_models[name] = torch_model(self.checkpoint, name)
        return self._torch_models[name]


def _reported(losses: Losses, progress: Progress) -> Losses:
    """The same losses; ``progress`` is called with the number of tokens of each window."""
    for positions, values in losses:
        progress(len(positions))
        yield positions, values
