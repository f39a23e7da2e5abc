"""The networks that claims compare, and their training: side by side with all others that have the same setup."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from charlstm.config import TrainConfig
from charlstm.evaluation.loss import evaluate
from charlstm.evaluation.masked import pseudo_losses
from charlstm.lab import counting, long_range
from charlstm.lab.bakeoff import EVALUATIONS
from charlstm.lab.progress import Progress, ShouldStop, never
from charlstm.lab.side_by_side import MIN_SECONDS, config_of_size, train_side_by_side
from charlstm.lab.tasks import AnBn, DelayedRecall
from charlstm.lab.texts import EMBEDDING, TRAIN, Text
from charlstm.lab.trainee import Trainee
from charlstm.nn.architecture import Architecture
from charlstm.nn.model import CharLM
from charlstm.training.batches import Batch

RECALL, COUNT, SPEED, SMALL_TEXT, TEXT = "recall", "count", "speed", "small text", "text"
RECALL_TASK, COUNT_TASK = DelayedRecall(), AnBn()
SPEED_UNITS = 128
"""Units of the networks whose steps are timed."""
SPEED_SECONDS = 1.0
"""Seconds of training that a verdict on the time of a step needs."""
WINDOW = 128
"""Characters of a window in which a bidirectional network is scored."""
_SMALL = 10_000
"""Characters of the small text, at most."""
_SMALL_SHARE = 8
"""The small text is at most the eighth part of the large one, or the two would be much the same."""
_STREAMS = 32


@dataclass(frozen=True)
class Setup:
    """What networks learn and how: all that are compared share one."""

    vocab_size: int
    embedding_size: int
    parameters: int
    """Parameters of each network, approximately."""
    train: TrainConfig
    batches: Callable[[int], Iterator[Batch]]
    """Returns the endless training data of a seed."""
    hidden_size: int = 0
    """Units of each network, whatever parameters that gives; 0 is as many as give it those parameters."""
    text: Text | None = None
    """The text whose held-out part they are evaluated on as they learn; None for no evaluation."""
    share: float = 1.0
    """Training time of a network, as a share of what others get."""
    min_seconds: float = MIN_SECONDS
    """Seconds of training that a verdict needs."""


def setups(text: Text) -> dict[str, Setup]:
    """Every setup, by its name, in the order of their training.

    Args:
        text: the text of those that learn one.
    """
    small = replace(text, train=text.train[: min(_SMALL, len(text.train) // _SMALL_SHARE)])
    on_text = Setup(text.vocab_size, EMBEDDING, 20_000, TRAIN, text.batches, text=text)
    recall, count = RECALL_TASK, COUNT_TASK
    return {
        RECALL: Setup(recall.vocab_size, long_range.EMBEDDING, 5_000, long_range.TRAIN, recall.batches),
        COUNT: Setup(count.vocab_size, counting.EMBEDDING, 1_500, counting.TRAIN, count.batches),
        SPEED: replace(on_text, hidden_size=SPEED_UNITS, text=None, share=0.2, min_seconds=SPEED_SECONDS),
        SMALL_TEXT: replace(on_text, text=small, batches=small.batches),
        TEXT: on_text,
    }


@dataclass(frozen=True)
class Variant:
    """A kind of network in one setup."""

    name: str
    """As it stands in the table."""
    setup: str
    cell: str = "lstm"
    settings: tuple[tuple[str, Any], ...] = ()
    """Other settings of its architecture."""
    change: Callable[[CharLM], None] | None = None
    """Changes the initial weights."""
    steps_of: Variant | None = None
    """Trained for as many steps as this one took, instead of for a given time."""

    def architecture(self, setup: Setup) -> Architecture:
        """The architecture of its networks."""
        sizes, settings = (setup.vocab_size, setup.embedding_size), dict(self.settings)
        architecture = config_of_size(self.cell, setup.parameters, *sizes, **settings)
        return architecture.replace(hidden_size=setup.hidden_size) if setup.hidden_size else architecture


@dataclass
class Trained:
    """One network of a variant, with what it reached at each evaluation."""

    trainee: Trainee
    text: Text | None
    losses: list[float] = field(default_factory=list)
    """Nats per character of the held-out text."""

    def evaluate(self) -> None:
        """Add the loss on the held-out text as it is now."""
        if self.text is not None:
            self.losses.append(held_out_loss(self.trainee.model, self.text))


TrainedVariants: TypeAlias = dict[Variant, list[Trained]]
"""The networks of each variant, one for each seed."""


def held_out_loss(model: CharLM, text: Text) -> float:
    """The loss on a held-out text: of each character given those before it, or of a bidirectional network all others.

    Args:
        model: the network.
        text: the text.

    Returns:
        Nats per character.
    """
    if model.architecture.bidirectional:
        windows = pseudo_losses(model, text.held_out, WINDOW)
        return sum(float(losses.sum(dtype=np.float64)) for _, losses in windows) / len(text.held_out)
    return evaluate(model, text.held_out, text.train[-1024:], streams=_STREAMS)


def train_variants(
    variants: Sequence[Variant],
    setup: Setup,
    seeds: int,
    budget: float,
    should_stop: ShouldStop = never,
    *,
    part: tuple[float, float] = (0.0, 1.0),
) -> Generator[Progress, None, TrainedVariants]:
    """Train networks of one setup side by side, those whose steps depend on others' after the others.

    Args:
        variants: the kinds of network; each ``steps_of`` is one of them.
        setup: of all of them.
        seeds: networks of each.
        budget: seconds of training of each network.
        should_stop: ends the training early when it returns True.
        part: the progress at the beginning and at the end.

    Yields:
        The progress.

    Returns:
        The networks; after an early end only those that have trained.
    """
    free = [variant for variant in variants if variant.steps_of is None]
    bound = [variant for variant in variants if variant.steps_of is not None]
    trained = {variant: [_begin(variant, setup, seed, budget) for seed in range(1, seeds + 1)] for variant in free}
    begin, end = part
    middle = begin + (end - begin) * len(free) / len(variants)
    yield from _train(trained, (begin, middle), should_stop)
    if bound and not should_stop():
        late: TrainedVariants = {}
        for variant in bound:
            assert variant.steps_of is not None
            steps = [network.trainee.steps for network in trained[variant.steps_of]]
            late[variant] = [_begin(variant, setup, seed, budget, count) for seed, count in enumerate(steps, 1)]
        yield from _train(late, (middle, end), should_stop)
        trained |= late
    return {variant: [each for each in networks if each.trainee.steps] for variant, networks in trained.items()}


def _begin(variant: Variant, setup: Setup, seed: int, budget: float, steps: int | None = None) -> Trained:
    """One untrained network."""
    architecture, batches = variant.architecture(setup), setup.batches(seed)
    if architecture.bidirectional:
        batches = map(_its_own_targets, batches)
    trainee = Trainee(architecture, seed, setup.train, batches, budget, steps)
    if variant.change is not None:
        with torch.no_grad():
            variant.change(trainee.model)
    return Trained(trainee, setup.text)


def _its_own_targets(batch: Batch) -> Batch:
    """The same windows, each alone, for a network that predicts every character from all others.

    None need be masked in the input, as the prediction of a character does not depend on it: so the loss in training is
    the pseudo-log-likelihood that it is tested by.
    """
    return replace(batch, targets=batch.inputs, reset_mask=torch.ones_like(batch.reset_mask))


def _train(variants: TrainedVariants, part: tuple[float, float], should_stop: ShouldStop) -> Iterator[Progress]:
    """Train networks side by side and evaluate all at the same times."""
    begin, end = part
    networks = [network for several in variants.values() for network in several]
    for index in range(EVALUATIONS):
        between = index / EVALUATIONS, (index + 1) / EVALUATIONS
        for event in train_side_by_side([each.trainee for each in networks], should_stop, part=between):
            text = f"{next(iter(variants)).setup}: loss in nats {' · '.join(_losses(variants))}"
            yield Progress(begin + (end - begin) * event.share, text)
        for network in networks:
            if network.trainee.steps:
                network.evaluate()
        if should_stop():
            return


def _losses(variants: TrainedVariants) -> Iterator[str]:
    """The training loss of each variant, averaged over its seeds."""
    for variant, networks in variants.items():
        losses = [each.trainee.loss for each in networks if each.trainee.steps]
        if losses:
            yield f"{variant.name} {sum(losses) / len(losses):.3f}"
