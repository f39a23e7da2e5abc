"""Drawn texts on stdout as they come, or one line of JSON for each."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from charlstm.cli.drawing import Drawing
from charlstm.cli.load_model import Writer
from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import say

if TYPE_CHECKING:
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.records import Drawn
    from charlstm.sampling.sampler import Fragment


class TextsAsJson:
    """Texts as JSON, in ASCII: harmless to a terminal, and unchanged by any encoding on the way.

    Args:
        loaded: the model.
        prompt: before each text.
        config: how they are drawn.
        rules: those that they keep.
    """

    def __init__(self, loaded: Writer, prompt: str, config: SampleConfig, rules: Mapping[str, object]) -> None:
        self._tokenizer = loaded.model.tokenizer
        self._common = {**loaded.origin, **asdict(config), **rules, "prompt": prompt}

    def after(self, prompt: str) -> TextsAsJson:
        """The same after another prompt."""
        again = copy.copy(self)
        again._common = {**self._common, "prompt": prompt}
        return again

    def line(self, number: int, fragments: Sequence[Fragment], **facts: object) -> str:
        """One text.

        Args:
            number: its number, from 1.
            fragments: all of it.
            facts: more to say of it.

        Returns:
            A line, with its end.
        """
        tokens = [
            {
                "text": self._tokenizer.token_bytes(fragment.token).decode("utf-8", "replace"),
                "id": fragment.token,
                "log_probability": fragment.log_probability,
            }
            for fragment in fragments
        ]
        text, reason = "".join(fragment.text for fragment in fragments), fragments[-1].finish_reason
        result = {"sample": number, "text": text, "finish_reason": reason, **facts, "tokens": tokens}
        return json.dumps(self._common | result) + "\n"


@dataclass(frozen=True)
class Printer:
    """Prints what is drawn, as it is drawn.

    Args:
        output: where it goes.
        drawing: what draws it.
        echo: printed before each text.
        as_json: how texts become JSON; None prints them as they are.
    """

    output: Output
    drawing: Drawing
    echo: str
    as_json: TextsAsJson | None = None

    def texts(self, *, raw: bool, cuts_are_told: bool) -> None:
        """Draw texts and print them.

        Args:
            raw: as bytes.
            cuts_are_told: whether those are told that end before their number of lines.
        """
        fragments: Iterable[Fragment] = self.drawing.texts(raw=raw)
        if cuts_are_told:
            fragments = _warn_of_cuts(fragments, self.drawing.config)
        if self.as_json is None:
            _print_as_they_are(self.output, self.echo, fragments, self.drawing.count)
            return
        for number, (_, text) in enumerate(groupby(fragments, key=lambda fragment: fragment.row), 1):
            self.output.write(self.as_json.line(number, list(text)))
        self.output.flush()

    def records(self, *, new_only: bool) -> None:
        """Draw records and print them, those that the model has read after the others; say how many those are.

        Args:
            new_only: whether those that the model has read are left out.
        """
        copies, numbers = [], itertools.count(1)
        for record in self.drawing.records(new_only=new_only):
            if record.is_new:
                self._print_record(record, next(numbers))
            else:
                copies.append(record)
        new = next(numbers) - 1
        for number, record in enumerate(copies, new + 1):
            self._print_record(record, number)
        self.output.flush()
        count, wanted = new + len(copies), self.drawing.count
        if copies:
            last = "the last one stands" if len(copies) == 1 else f"the last {len(copies)} stand"
            say(f"{new} of {count} are new; {last} in the text that the model has read")
        if count < wanted:
            length = self.drawing.config.length
            limit = f" of fewer than {length:,} tokens" if length else ""
            say(f"no more than {count} different ones{limit} were found" if count else f"not one{limit} was found")

    def _print_record(self, record: Drawn, number: int) -> None:
        if self.as_json:
            self.output.write(self.as_json.line(number, record.fragments, new=record.is_new))
        else:
            text = record.text.removeprefix(self.drawing.prompt)
            self.output.write(self.echo + text + self.drawing.loaded.writing.record)


def _warn_of_cuts(fragments: Iterable[Fragment], config: SampleConfig) -> Iterator[Fragment]:
    """Pass fragments on, and at the end report the texts that did not reach their number of lines."""
    cuts = 0
    for fragment in fragments:
        cuts += fragment.finish_reason == "length"
        yield fragment
    if cuts:
        texts = "a text was" if cuts == 1 else f"{cuts} texts were"
        say(f"{texts} cut after {config.length:,} tokens without {config.lines} line ends; --length 0 sets no limit")


def _print_as_they_are(output: Output, prompt: str, fragments: Iterable[Fragment], samples: int) -> None:
    """Print texts, each after the prompt."""
    started = 0
    for fragment in fragments:
        if fragment.row == started:
            started += 1
            if samples > 1:
                output.rule(f"{started} of {samples}")
            output.write(prompt)
        output.write(fragment.text)
        if fragment.finish_reason and samples > 1:
            output.end_line()
    if output.terminal:
        output.end_line()  # the shell's prompt gets a line of its own; a pipe gets the text and nothing else
    output.flush()
