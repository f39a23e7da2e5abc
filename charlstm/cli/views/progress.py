"""Training as a person sees it: live on a terminal (`views.live`), as plain lines elsewhere, as JSON for a program."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from charlstm.cli import streams
from charlstm.cli.spelling import with_options
from charlstm.cli.views.terminal import can_redraw, count, duration, measured, say
from charlstm.events import EvalDone, Event, Notice, Preview, Started, StepDone, to_json

if TYPE_CHECKING:
    from charlstm.training.loop import Training

_LINE_EVERY = 5.0
"""Seconds between plain lines."""


@contextmanager
def progress_bar(
    what: str, unit: Literal["bytes", "tokens", "steps"] = "bytes", *, quiet: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, once the work has taken half a second; elsewhere nothing.

    Args:
        what: the work, in a word or two.
        unit: what is counted.
        quiet: show nothing.

    Yields:
        A function to call with how many are done and how many there are in all.
    """
    from tqdm import tqdm

    with tqdm(
        desc=what, unit="B" if unit == "bytes" else f" {unit}", unit_scale=True, dynamic_ncols=True,
        delay=0.5, leave=False, file=sys.stderr, disable=quiet or not can_redraw(sys.stderr),
    ) as bar:  # fmt: skip

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def view(training: Training, *, quiet: bool, json_lines: bool) -> Iterator[View]:
    """Show the events of a training.

    Args:
        training: the training.
        quiet: show nothing.
        json_lines: print events as JSON on stdout, whether quiet or not.

    Yields:
        What shows each event.
    """
    kind = training.tokenizer.kind
    pace = Pace(training.run.train.max_time)
    if json_lines:
        yield _JsonLines()
    elif quiet:
        yield View()
    elif can_redraw(sys.stderr):
        from charlstm.cli.views.live import Live

        with Live(kind, pace) as live:
            yield live
    else:
        yield Lines(kind, pace)


class View:
    """Shows nothing but messages; the other views show the events of a training as well."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def say(self, text: str) -> None:
        """Print a message; a signal handler may call this."""
        say(text)


class _JsonLines(View):
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


class Status(View):
    """What all views of a training know.

    Args:
        kind: of the tokenizer, which tells what a token is called.
        pace: how fast the run learns.

    Attributes:
        loss: a running mean of the training loss, in nats per token; NaN before the first step.
        bits: of each evaluation, in order, per character or byte.
        seconds: of training so far, over all sessions.
    """

    def __init__(self, kind: str, pace: Pace) -> None:
        self.pace = pace
        self.loss = math.nan
        self.bits: list[float] = []
        self.seconds = 0.0
        self._kind = kind

    @property
    def unit(self) -> str:
        """What bits are counted for: the text of a model of bytes may have no characters."""
        return "byte" if self._kind == "byte" else "character"

    def update(self, event: Event) -> None:
        """Take an event into account."""
        if isinstance(event, StepDone):
            self.pace.update(event)
            self.seconds = event.seconds
            self.loss = event.loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * event.loss
        elif isinstance(event, EvalDone):
            self.seconds = event.seconds
            # A token of a model of bytes is a byte.
            self.bits.append(event.val_loss / math.log(2) if self._kind == "byte" else event.bits_per_char)
            self.pace.pause()

    def announce(self, event: Event) -> None:
        """Print what an event has to say in words, if it has."""
        if isinstance(event, Started) and event.step:
            self.say(f"continuing after step {event.step}")
        elif isinstance(event, Notice):
            self.say(with_options(event.text))

    def speed(self) -> str:
        """The training loss, the speed and the time left, as far as they are known, the most important first."""
        tokens = {"char": "chars", "byte": "bytes"}.get(self._kind, "tokens")
        left = self.pace.seconds_left
        parts = [
            "" if math.isnan(left) else f"{duration(left)} left",
            "" if math.isnan(self.loss) else f"loss {measured(self.loss, 3)}",
            f"{count(self.pace.tokens_per_second)} {tokens}/s" if self.pace.tokens_per_second else "",
        ]
        return " · ".join(filter(None, parts))

    def title(self) -> str:
        """When a preview was written, and how good the network was: ``24 s · 2.42 bits per character``."""
        return f"{duration(self.seconds)} · {self.score() or f'loss {measured(self.loss, 3)}'}"

    def score(self) -> str:
        """The last evaluation: ``2.42 bits per character``; empty before the first."""
        return f"{measured(self.bits[-1], 2)} bits per {self.unit}" if self.bits else ""


class Lines(Status):
    """Plain lines on stderr, one every five seconds, one at each evaluation, and each preview.

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
                score = f" · {self.score()}" if self.bits else ""
                say(f"{event.progress:4.0%} step {event.step} · {self.speed()}{score}")
        elif isinstance(event, EvalDone):
            say(self._evaluation(event))
        elif isinstance(event, Preview):
            say(f"preview after {self.title()}:")
            for line in event.text.strip("\n").split("\n"):
                say(f"  | {line}", indent=4)
        else:
            self.announce(event)

    def _evaluation(self, event: EvalDone) -> str:
        mean = " (average of weights)" if event.weights == "ema" else ""
        short = {"character": "char"}.get(self.unit, self.unit)
        return (
            f"step {event.step}: val {measured(event.val_loss, 4)} nats/token, "
            f"{measured(self.bits[-1], 3)} bits/{short}{mean}"
            f"{', the best so far' if event.best else ''}"
        )
