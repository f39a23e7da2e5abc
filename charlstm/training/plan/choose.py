"""The settings a text, a budget and a machine ask for, each with its reason. No clock, no file: a pure function.

Learning rate and β2 were read off runs on tiny Shakespeare on one machine, passes also off Python's documentation and
off parts of both, width also off the King James Bible and a text of 11.5 MB (`docs/decisions` has the figures); what
follows from them for other texts, budgets and machines is reasoned, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charlstm.config import RunConfig
from charlstm.corpora.encode import train_size
from charlstm.errors import OutOfMemoryError, TextError
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count, parameter_count
from charlstm.nn.side_inputs.base import TextFacts
from charlstm.training.plan import costs, rules
from charlstm.training.plan.costs import Machine
from charlstm.training.plan.rules import Choices


@dataclass(frozen=True)
class Plan:
    """All settings of a run, why they are what they are, and what they will cost."""

    run: RunConfig
    reasons: dict[str, str]
    """For each setting that chose itself: the setting, and why in plain words."""
    notes: tuple[str, ...]
    """What a person should know: the text is short, a window was shrunk."""
    parameters: int
    memory: int
    """Bytes, estimated, for weights, optimizer and one step's activations."""
    steps: int
    """Expected until the budget ends."""
    seconds: float
    """Expected until the budget ends."""
    tokens_per_second: float
    """Expected in training."""


def choose(
    name: str,
    tokens: int,
    vocab_size: int,
    machine: Machine,
    given: Mapping[str, Mapping[str, Any]],
    *,
    common: int | None = None,
) -> Plan:
    """Complete the settings of a run.

    Args:
        name: the run's name.
        tokens: of the whole text.
        vocab_size: of its tokenizer.
        machine: what the probe measured.
        given: the settings made by hand, by section; these are never changed, but for windows that the text is too
            short for: how long they are, and how many a step has.
        common: how many of the vocabulary nearly all of the text is made of; None means all.

    Raises:
        ConfigError: settings that cannot be.
        TextError: a text too short to learn anything from.
        OutOfMemoryError: a network that does not fit the machine.
    """
    if tokens < 2:
        raise TextError(
            f"a text of {tokens} token{'s' * (tokens != 1)} is too short to train on",
            hint="At least 2 are needed; 100,000 characters make a good start.",
        )
    model, data, train = (Choices(given.get(section, {})) for section in ("model", "data", "train"))
    seconds = rules.budget(train)
    rules.machine(train, machine)
    budget = seconds if seconds is not None else math.inf
    val = rules.validation(data, tokens, budget, machine)
    train_tokens = train_size(tokens, val)
    common = common or vocab_size
    rules.side_inputs(model, TextFacts(train_tokens, common, train.values["device"]))
    rules.shape(model, common)
    rules.networks(model, train, train_tokens, vocab_size, common, budget, machine)
    notes = rules.windows(
        data, train_tokens, train.values["device"], bidirectional=bool(model.given.get("bidirectional"))
    )
    rows = data.values["batch_size"] * data.values["seq_len"]
    speed = costs.speed(Architecture.from_settings({**model.all, "vocab_size": vocab_size}), machine)
    notes += rules.passes(train, speed, rows, train_tokens, bidirectional=bool(model.given.get("bidirectional")))
    steps, duration = costs.length(train.values, speed, rows, train_tokens)
    passes = steps * rows / train_tokens
    of_one = matmul_weight_count(Architecture.from_settings({**model.all, "vocab_size": vocab_size, "ensemble": 1}))
    rules.regularise(model, of_one, passes, train_tokens)
    rules.optimizer(train, model.values["hidden_size"], steps, train_tokens, tokens - train_tokens, speed, rows)
    sections = {"model": {**model.all, "vocab_size": vocab_size}, "data": data.all, "train": train.all}
    run = RunConfig.from_plain({"name": name, **sections})
    memory = costs.memory(run)
    if memory > machine.memory:
        raise OutOfMemoryError(
            f"these settings need about {memory / 1e9:.1f} GB and {machine.memory / 1e9:.1f} GB are free",
            hint="Lower `hidden_size`, `num_layers`, `batch_size` or `seq_len`.",
        )
    reasons = {**model.reasons, **data.reasons, **train.reasons}
    parameters = parameter_count(run.model)
    return Plan(run, reasons, tuple(notes), parameters, memory, steps, duration, speed)
