"""Training as a person sees it: a progress bar on a terminal, plain lines elsewhere, or JSON lines for a program."""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from charlstm.cli import streams
from charlstm.cli.spelling import with_options
from charlstm.cli.views.terminal import count, duration, fold, is_terminal, say, terminal_width, visible
from charlstm.events import EvalDone, Event, Notice, Preview, Started, StepDone, Stopped, to_json

if TYPE_CHECKING:
    from charlstm.training.loop import Training

_LINE_EVERY = 5.0
"""Seconds between plain lines."""
_MARK = "  │ "
"""The prefix of a preview's lines above the bar."""


@contextmanager
def bytes_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of bytes on a terminal, once the work has taken half a second; elsewhere nothing.

    Args:
        what: the work, in a word.
        quiet: show nothing.

    Yields:
        A function to call with the bytes done and the bytes in all.
    """
    from tqdm import tqdm

    with tqdm(
        desc=what, unit="B", unit_scale=True, delay=0.5, leave=False, file=sys.stderr,
        disable=quiet or not is_terminal(sys.stderr), dynamic_ncols=True,
    ) as bar:  # fmt: skip

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def view(training: Training, *, quiet: bool, json_lines: bool) -> Iterator[Callable[[Event], None]]:
    """Show the events of a training.

    Args:
        training: the training.
        quiet: show nothing.
        json_lines: print events as JSON on stdout, whether quiet or not.

    Yields:
        A function to call with each event.
    """
    kind = training.tokenizer.kind
    pace = Pace(training.run.train.max_time)
    if json_lines:
        yield _JsonLines().show
    elif quiet:
        yield lambda event: None
    elif is_terminal(sys.stderr):
        with Bar(kind, pace) as bar:
            yield bar.show
    else:
        yield Lines(kind, pace).show


class _JsonLines:
    """Events on stdout for a program; when it stops reading, training continues."""

    def __init__(self) -> None:
        self._open = True

    def show(self, event: Event) -> None:
        if not self._open:
            return
        try:
            print(to_json(event), flush=not isinstance(event, StepDone))
        except OSError:  # a pipe without a reader or a full disk must not end the training
            self._open = False
            streams.discard(sys.stdout)
            say("events can no longer be written to stdout; training continues, and metrics.jsonl has them")


def _folded(text: str) -> str:
    """Lines folded between words at the terminal's width; a preview's lines keep their prefix."""
    width = terminal_width()
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(_MARK):  # a preview keeps its spaces; a sentence loses the one it is folded at
            lines += textwrap.wrap(line, width, subsequent_indent=_MARK, drop_whitespace=False)
        else:
            lines += fold(line, width)
    return "\n".join(lines)


class Pace:
    """Tokens per second and time left, from the last ten seconds.

    Args:
        max_time: the budget in seconds of training, if it has one.
    """

    def __init__(self, max_time: float | None) -> None:
        self._max_time = max_time or math.inf
        self._most_left = math.inf
        self._marks: list[tuple[float, int, float]] = []

    def update(self, event: StepDone) -> None:
        """Take a step into account."""
        now = time.monotonic()
        self._most_left = max(0.0, self._max_time - event.seconds)
        self._marks.append((now, event.tokens, event.progress))
        while len(self._marks) > 2 and now - self._marks[0][0] > 10:
            self._marks.pop(0)

    def pause(self) -> None:
        """Forget the steps so far: what came between them and the next took time, but was no training."""
        self._marks.clear()

    @property
    def tokens_per_second(self) -> float:
        """0 before the second step, also after a pause."""
        if len(self._marks) < 2:
            return 0.0
        (t0, n0, _), (t1, n1, _) = self._marks[0], self._marks[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Until the budget is used up; NaN while that is not known."""
        if len(self._marks) < 2:
            return self._most_left if math.isfinite(self._most_left) else math.nan
        (t0, _, p0), (t1, _, p1) = self._marks[0], self._marks[-1]
        return min(self._most_left, (1 - p1) * (t1 - t0) / (p1 - p0)) if p1 > p0 else math.nan


class Status:
    """What the bar and the plain lines have in common.

    Args:
        kind: of the tokenizer, which tells what a token is called.
        pace: how fast the run learns.
    """

    def __init__(self, kind: str, pace: Pace) -> None:
        self.pace = pace
        self._kind = kind
        self.loss = math.nan
        self.bits = math.nan
        self._unit = "byte" if kind == "byte" else "char"

    def update(self, event: Event) -> None:
        """Take an event into account."""
        if isinstance(event, StepDone):
            self.pace.update(event)
            self.loss = event.loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * event.loss
        elif isinstance(event, EvalDone):
            # The text of a model of bytes may have no characters; its token is a byte.
            self.bits = event.val_loss / math.log(2) if self._kind == "byte" else event.bits_per_char
            self.pace.pause()

    def numbers(self) -> str:
        """Loss, validation loss and speed, as far as they are known."""
        tokens = {"char": "chars", "byte": "bytes"}.get(self._kind, "tokens")
        parts = [
            "" if math.isnan(self.loss) else f"loss {self.loss:.3f}",
            "" if math.isnan(self.bits) else f"val {self.bits:.3f} bits/{self._unit}",
            f"{count(self.pace.tokens_per_second)} {tokens}/s" if self.pace.tokens_per_second else "",
        ]
        return " · ".join(filter(None, parts))

    def evaluation(self, event: EvalDone) -> str:
        """What an evaluation found."""
        mean = " (average of weights)" if event.weights == "ema" else ""
        return (
            f"step {event.step}: val {event.val_loss:.4f} nats/token, {self.bits:.3f} bits/{self._unit}{mean}"
            f"{', the best so far' if event.best else ''}"
        )


class Bar(Status):
    """A tqdm bar on stderr, with all other messages above it."""

    def __enter__(self) -> Bar:
        from tqdm import tqdm

        self._bar = tqdm(
            total=1.0, file=sys.stderr, dynamic_ncols=True, mininterval=0.2,
            bar_format="{percentage:3.0f}% |{bar:10}| {desc}",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, event: Event) -> None:
        """Show an event."""
        self.update(event)
        if isinstance(event, StepDone):
            self._bar.n = event.progress
            left = self.pace.seconds_left
            # The most important comes first: a narrow terminal cuts off the end of the line.
            first = "" if math.isnan(left) else f"{duration(left)} left · "
            self._bar.set_description_str(first + self.numbers(), refresh=False)
            self._bar.update(0)
        elif isinstance(event, EvalDone):
            self._bar.set_description_str(self.numbers(), refresh=False)
            self._above(self.evaluation(event))
        elif isinstance(event, Preview):
            self._above("\n".join(f"{_MARK}{line}" for line in event.text.split("\n")))
        elif isinstance(event, Notice):
            self._above(with_options(event.text))
        elif isinstance(event, Stopped):
            self._bar.n = 1.0 if event.reason == "finished" else self._bar.n
            self._bar.refresh()

    def _above(self, text: str) -> None:
        self._bar.write(_folded(visible(text)), file=sys.stderr)


class Lines(Status):
    """Plain lines on stderr, one every five seconds and one at each evaluation.

    Args:
        kind: as in `Status`.
        pace: as in `Status`.
    """

    def __init__(self, kind: str, pace: Pace) -> None:
        super().__init__(kind, pace)
        self._last = time.monotonic()

    def show(self, event: Event) -> None:
        """Show an event."""
        self.update(event)
        if isinstance(event, StepDone):
            if time.monotonic() - self._last >= _LINE_EVERY:
                self._last = time.monotonic()
                left = self.pace.seconds_left
                rest = "" if math.isnan(left) else f" · {duration(left)} left"
                say(f"{event.progress:4.0%} step {event.step} · {self.numbers()}{rest}")
        elif isinstance(event, Started):
            if event.step:
                say(f"continuing after step {event.step}")
        elif isinstance(event, EvalDone):
            say(self.evaluation(event))
        elif isinstance(event, Preview):
            for line in event.text.split("\n"):
                say(f"  | {line}")
        elif isinstance(event, Notice):
            say(with_options(event.text))
