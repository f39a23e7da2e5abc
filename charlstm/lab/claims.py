"""The claims of tutorials about recurrent networks, tested on this machine: see `claim_list`.

Networks that learn the same thing are trained side by side, for equal time and, unless the number of units is given,
with equally many parameters. Each network serves every claim about it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from charlstm.errors import UsageError
from charlstm.lab.claim_list import CLAIMS, Comparison, Measured, Threshold
from charlstm.lab.progress import Experiment, Progress, ShouldStop, never
from charlstm.lab.side_by_side import MIN_SECONDS
from charlstm.lab.texts import TRAIN, Text
from charlstm.lab.variants import (
    COUNT,
    RECALL,
    SMALL_TEXT,
    SPEED_SECONDS,
    TEXT,
    Setup,
    TrainedVariants,
    Variant,
    setups,
    train_variants,
)
from charlstm.report.charts import Bars
from charlstm.report.experiment import Result
from charlstm.report.findings import TOO_SHORT, Verdict, format_figures, verdict

_VERDICTS: tuple[Verdict, ...] = ("Supported", "Refuted", "Inconclusive")

Values: TypeAlias = dict[Measured, list[float]]
"""What was measured, one value for each seed."""


@dataclass(frozen=True)
class Numbered:
    """A comparison with its claim and its place in the table."""

    claim: int
    """The number of its claim, from 1."""
    letter: str
    """Which of several comparisons of its claim; empty if it is the only one."""
    sentence: str
    comparison: Comparison

    def __str__(self) -> str:
        return f"{self.claim}{self.letter}"


@dataclass(frozen=True)
class Outcome:
    """What a comparison came out as."""

    tested: Numbered
    greater: tuple[str, list[float]]
    smaller: tuple[str, list[float]]
    verdict: Verdict
    reason: str
    seconds: float
    """The least training of any of its networks."""

    @property
    def share(self) -> float:
        """The share of all pairs, a seed of one and a seed of the other, that are as claimed; a draw counts half."""
        pairs = [(more > less) + (more == less) / 2 for more in self.greater[1] for less in self.smaller[1]]
        return sum(pairs) / len(pairs)


def numbered(numbers: Sequence[int] = ()) -> list[Numbered]:
    """All comparisons of some claims.

    Args:
        numbers: those of the claims, from 1; empty for all.

    Returns:
        The comparisons, in the order of the claims.

    Raises:
        UsageError: there is no claim of a number.
    """
    unknown = [number for number in numbers if not 1 <= number <= len(CLAIMS)]
    if unknown:
        raise UsageError(f"`only={unknown[0]}`: there is no such claim", hint=f"They are 1 to {len(CLAIMS)}.")
    chosen = []
    for number, claim in enumerate(CLAIMS, 1):
        letters = "abcdefgh" if len(claim.comparisons) > 1 else [""]
        if not numbers or number in numbers:
            chosen += [
                Numbered(number, letter, claim.sentence, comparison)
                for letter, comparison in zip(letters, claim.comparisons, strict=False)
            ]
    return chosen


def share_of_all(text: Text, numbers: Sequence[int]) -> float:
    """How much of the training of all claims some of them need, from 0 to 1.

    Args:
        text: what networks learn.
        numbers: the claims, from 1; empty for all.
    """
    every = setups(text)
    wanted, all_of_them = (
        sum(every[variant.setup].share for variant in _variants(numbered(which))) for which in (numbers, ())
    )
    return wanted / all_of_them


def run(
    text: Text, seeds: int, seconds: float, numbers: Sequence[int] = (), should_stop: ShouldStop = never
) -> Experiment:
    """Train every network that the claims need, one setup after the other, and compare them.

    Args:
        text: what networks learn, unless they have a task.
        seeds: networks of each variant.
        seconds: training time of all networks together.
        numbers: the claims to test, from 1; empty for all.
        should_stop: ends the training early when it returns True; what was trained until then is measured.

    Yields:
        The progress, and last the result.

    Raises:
        UsageError: there is no claim of a number, or no seed.
    """
    if seeds < 1:
        raise UsageError(f"`seeds={seeds}` is too few", hint="At least 1 is needed.")
    return _run(text, seeds, seconds, numbered(numbers), should_stop)


def _run(text: Text, seeds: int, seconds: float, tested: Sequence[Numbered], should_stop: ShouldStop) -> Experiment:
    every = setups(text)
    measured = list(dict.fromkeys(side for each in tested for side in each.comparison.measured))
    variants = _variants(tested)
    total = sum(every[variant.setup].share for variant in variants)
    budget = seconds / (seeds * total)
    values: Values = {}
    trained: TrainedVariants = {}
    share = 0.0
    for name, setup in every.items():
        own = [variant for variant in variants if variant.setup == name]
        if not own or should_stop():
            continue
        width = setup.share * len(own) / total
        part = share, share + width
        networks = yield from train_variants(own, setup, seeds, budget * setup.share, should_stop, part=part)
        share += width
        sides = [side for side in measured if side.variant in networks]
        values |= yield from _measure(name, sides, networks, share)
        trained |= networks
    partial = len(trained) < len(variants) or not all(
        network.trainee.finished for networks in trained.values() for network in networks
    )
    outcomes = list(_outcomes(tested, values, trained, every))
    settings = {
        "text": text.name, "claims": list(dict.fromkeys(each.claim for each in tested)), "seeds": seeds,
        "seconds_each": budget, "threads": torch.get_num_threads(), "optimizer": TRAIN.optimizer, "lr": TRAIN.lr,
    }  # fmt: skip
    yield _result(every, outcomes, tested, settings, partial)


def _variants(tested: Sequence[Numbered]) -> list[Variant]:
    """The kinds of networks that some comparisons need, each once."""
    compared = dict.fromkeys(side.variant for each in tested for side in each.comparison.measured)
    return [*(compared | dict.fromkeys(each.steps_of for each in compared if each.steps_of is not None))]


def _measure(
    name: str, sides: Sequence[Measured], networks: TrainedVariants, share: float
) -> Generator[Progress, None, Values]:
    values: Values = {}
    for number, side in enumerate(sides, 1):
        yield Progress(share, f"{name}: measuring, {number} of {len(sides)}")
        if networks[side.variant]:
            values[side] = [side.quantity.measure(network) for network in networks[side.variant]]
    return values


def _outcomes(
    tested: Sequence[Numbered], values: Values, trained: TrainedVariants, every: Mapping[str, Setup]
) -> Iterator[Outcome]:
    """The outcome of each comparison of which everything has been measured."""
    for each in tested:
        comparison = each.comparison
        if not all(side in values for side in comparison.measured):
            continue
        count = min(len(values[side]) for side in comparison.measured)
        greater, smaller = (_named(side, values, count) for side in (comparison.greater, comparison.smaller))
        networks = [network for side in comparison.measured for network in trained[side.variant]]
        enough = every[comparison.measured[0].variant.setup].min_seconds
        seconds = min(network.trainee.spent for network in networks)
        found, reason = verdict(greater[1], smaller[1], too_short=seconds < enough)
        yield Outcome(each, greater, smaller, found, reason, seconds)


def _named(side: Measured | Threshold, values: Values, seeds: int) -> tuple[str, list[float]]:
    return side.name, [side.value] * seeds if isinstance(side, Threshold) else values[side]


def _result(
    every: Mapping[str, Setup],
    outcomes: Sequence[Outcome],
    tested: Sequence[Numbered],
    settings: dict[str, Any],
    partial: bool,
) -> Result:
    sizes = {name: len(setup.text.train) for name, setup in every.items() if setup.text is not None}
    texts = {"small": f"{sizes[SMALL_TEXT]:,}", "large": f"{sizes[TEXT]:,}"}
    return Result(
        name="claims",
        title="What tutorials say of recurrent networks, tested",
        question=(
            "Each claim is turned into a statement about numbers that are measured in networks trained here: it is "
            "supported if every seed of one kind of network beats every seed of the other, refuted if it is the other "
            "way round, and inconclusive otherwise. Networks that are compared learn the same thing for equal time, "
            f"unless it says otherwise, and have equally many parameters: about {every[RECALL].parameters:,} to recall "
            f"a letter across a gap, {every[COUNT].parameters:,} to count, {every[TEXT].parameters:,} to learn a text. "
            f"Optimizer and learning rate are the same, tuned for none. The text is {settings['text']}. A loss is the "
            "lowest of its evaluations, on characters that no network is trained on. Times are of this machine, in "
            "this implementation."
        ),
        columns=("claim", "tested as", "figures", "verdict"),
        rows=tuple(_row(outcome, texts) for outcome in outcomes),
        charts=(_chart(outcomes),) if outcomes else (),
        findings=tuple(_findings(outcomes, tested, settings["seeds"])),
        settings=settings,
        data={str(outcome.tested): dict((outcome.greater, outcome.smaller)) for outcome in outcomes},
        partial=partial,
    )


def _row(outcome: Outcome, texts: Mapping[str, str]) -> tuple[str, ...]:
    tested = outcome.tested
    quantity = tested.comparison.measured[0].quantity
    figures = format_figures(
        outcome.greater, outcome.smaller,
        number_format=quantity.number_format, unit=quantity.unit, limit=quantity.limit,
    )  # fmt: skip
    statement = tested.comparison.statement.format(**texts)
    return f"{tested} {tested.sentence}", statement, figures, f"{outcome.verdict}: {outcome.reason}"


def _chart(outcomes: Sequence[Outcome]) -> Bars:
    return Bars(
        "",
        "pairs of seeds that are as claimed",
        tuple(f"{outcome.tested} {outcome.tested.sentence}" for outcome in outcomes),
        tuple(outcome.share for outcome in outcomes),
        tuple(outcome.verdict for outcome in outcomes),
    )


def _findings(outcomes: Sequence[Outcome], tested: Sequence[Numbered], seeds: int) -> Iterator[str]:
    for name in _VERDICTS:
        numbers = [str(outcome.tested) for outcome in outcomes if outcome.verdict == name]
        if numbers:
            yield f"{name}: {', '.join(numbers)}."
    known = [outcome.tested for outcome in outcomes]
    missing = [str(each) for each in tested if each not in known]
    if missing:
        yield f"Not measured, as it was stopped before: {', '.join(missing)}."
    if seeds > 1:
        yield (
            f"Where two kinds of network do not differ, {seeds} seeds of each give a verdict by chance in 1 of "
            f"{math.comb(2 * seeds, seeds) // 2} comparisons."
        )
    short = [outcome.seconds for outcome in outcomes if outcome.reason == TOO_SHORT]
    if short:
        yield (
            f"A verdict needs {MIN_SECONDS:g} s of training for each network, {SPEED_SECONDS:g} s where its steps are "
            f"timed; here it was as little as {min(short):.1f} s."
        )
