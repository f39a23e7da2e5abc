"""Chooses all settings for a text, a budget and a machine, each with its reason: a pure function of its arguments.

Each rule in `rules` names the page in ``docs/decisions`` with its measurements. Learning rate and β2 were measured on
tiny Shakespeare on one machine; the number of passes also on Python's documentation and on parts of both texts; the
width also on the King James Bible and a text of 11.5 MB. Extrapolations to other texts, budgets and machines are
reasoned, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charlstm.config import RunConfig
from charlstm.corpora.encode import train_size
from charlstm.corpora.lists import ONE_TEXT, Choice
from charlstm.errors import OutOfMemoryError, TextError
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count, parameter_count
from charlstm.nn.side_inputs.base import TextFacts
from charlstm.training.plan import costs, rules
from charlstm.training.plan.costs import Machine
from charlstm.training.plan.rules import Choices


@dataclass(frozen=True)
class Plan:
    """All settings of a run, the reasons for them, and their predicted cost."""

    run: RunConfig
    reasons: dict[str, str]
    """For each automatic setting the reason, in plain words."""
    notes: tuple[str, ...]
    """Notes for the user: a short text, a shortened window."""
    parameters: int
    """Trainable parameters."""
    memory: int
    """Predicted bytes for weights, optimizer and one step's activations."""
    steps: int
    """Predicted steps until the budget ends."""
    seconds: float
    """Predicted seconds until the budget ends."""
    tokens_per_second: float
    """Predicted speed of training."""


def choose(
    name: str,
    tokens: int,
    vocab_size: int,
    machine: Machine,
    given: Mapping[str, Mapping[str, Any]],
    *,
    effective_vocab_size: int | None = None,
    begun_at: float | None = None,
    listed: Choice = ONE_TEXT,
    records: int = 0,
) -> Plan:
    """Complete the settings of a run.

    Args:
        name: the run's name.
        tokens: tokens of the whole text, validation part included.
        vocab_size: V.
        machine: the measured machine.
        given: explicit settings, by section. They are kept; only `seq_len` and `batch_size` are lowered if the text is
            too short for them.
        effective_vocab_size: the number of different tokens that make up 99 % of the text; None means V.
        begun_at: bits per character at which the network that the run begins from reads the text, as in `Start.bits`;
            None if it begins from nothing.
        listed: whether the text is one text or a list of texts.
        records: how many of the latter.

    Returns:
        The plan.

    Raises:
        ConfigError: explicit settings are invalid or exclude each other.
        TextError: the text has fewer than 2 tokens.
        OutOfMemoryError: training needs more memory than is free.
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
    effective_vocab_size = effective_vocab_size or vocab_size
    bidirectional = bool(model.given.get("bidirectional"))
    rules.side_inputs(model, TextFacts(train_tokens, effective_vocab_size, train.values["device"]))
    rules.shape(model, effective_vocab_size)
    rules.networks(model, train, train_tokens, vocab_size, effective_vocab_size, budget, machine)
    data.set_default("records", listed.records, listed.reason or "its lines go on from one to the next")
    if not records:
        notes = rules.windows(data, train_tokens, train.values["device"], bidirectional=bidirectional)
        rows = data.values["batch_size"] * data.values["seq_len"]
    else:
        rows = rules.records(data, records, train_tokens, train.values["device"])
        notes = []
    speed = costs.speed(Architecture.from_settings({**model.all, "vocab_size": vocab_size}), machine)
    notes += rules.passes(train, speed, rows, train_tokens, bidirectional=bidirectional, begun=begun_at is not None)
    steps, duration = costs.length(train.values, speed, rows, train_tokens)
    passes = steps * rows / train_tokens
    single = Architecture.from_settings({**model.all, "vocab_size": vocab_size, "ensemble": 1})
    rules.regularise(model, matmul_weight_count(single), passes, train_tokens)
    rules.optimizer(train, model.values["hidden_size"], steps, train_tokens, tokens - train_tokens, speed, rows)
    if begun_at is not None:
        rules.fine_tuning(model, train, train_tokens, begun_at, passes, steps)
    sections = {"model": {**model.all, "vocab_size": vocab_size}, "data": data.all, "train": train.all}
    run = RunConfig.from_plain({"name": name, **sections})
    memory = costs.memory(run)
    if memory > machine.free_memory:
        raise OutOfMemoryError(
            f"these settings need about {memory / 1e9:.1f} GB and {machine.free_memory / 1e9:.1f} GB are free",
            hint="Lower `hidden_size`, `num_layers`, `batch_size` or `seq_len`.",
        )
    reasons = {**model.reasons, **data.reasons, **train.reasons}
    parameters = parameter_count(run.model)
    return Plan(run, reasons, tuple(notes), parameters, memory, steps, duration, speed)
