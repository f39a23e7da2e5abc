"""What one network and several have in common: they write text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator

from charlstm.api.arguments import require_text, suggest_names
from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig, require_texts, settings_for
from charlstm.sampling.prompts import Unknown, fit_prompt, prompt_ids
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import Tokenizer


class TextWriter(ABC):
    """Writes text, under rules if they are given.

    Attributes:
        tokenizer: text to ids and back.
    """

    tokenizer: Tokenizer

    @property
    @abstractmethod
    def writer(self) -> TextModel:
        """What predicts the next token."""

    @property
    @abstractmethod
    def writing(self) -> Writing:
        """How it writes unless told otherwise."""

    @abstractmethod
    def _rules(self, settings: RuleSettings, source: str | tuple[str, ...]) -> Rules:
        """What makes the guides of rules, of which at least one is set."""

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
        particles: int | None = None,
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
                None is 8 with ``match``, ``starts`` or ``max_line``; with ``rhyme`` 32 lines.
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
            self.writing, length=length, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
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
        particles: int | None = None,
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
            self.writing, length=length, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
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

    def _stream(
        self, prompt: str, unknown: Unknown, config: SampleConfig, rules: RuleSettings, source: str | tuple[str, ...]
    ) -> Iterator[str]:
        require_texts("source", source)
        model, writing = self.writer, self.writing
        known = self._known(prompt, unknown, "prompt")
        made = self._rules(rules, source) if rules.given else None
        guide, rhymes = (made.after(known), made.rhymes) if made else (None, None)
        fragments = sample(
            model, prompt_ids(self.tokenizer, known, writing.record), config,
            starts=writing.starts, guide=guide, particles=made.particles if made else 1, rhymes=rhymes,
        )  # fmt: skip
        return (fragment.text for fragment in fragments)

    def _known(self, text: str, unknown: Unknown, name: str = "text") -> str:
        """A text in characters of the alphabet."""
        require_text(name, text)
        return fit_prompt(self.tokenizer, text, unknown, where=name)[0]
