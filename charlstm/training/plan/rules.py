"""The rules by which settings choose themselves, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charlstm.errors import ConfigError
from charlstm.nn.architecture import Architecture
from charlstm.nn.shapes import matmul_weight_count
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.nn.side_inputs.base import FEW_TOKENS, TextFacts
from charlstm.schemas import parse
from charlstm.training.plan.costs import Machine, length, speed

DEFAULT_TIME = 300.0
"""Seconds of training when no budget is given."""

_SIZES = (32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048)

_PASSES, _MANY_TOKENS = 12, 150_000
"""So many passes over a text of up to so many tokens are enough; over a longer one with the root of its length."""

_FEWEST_STEPS = 60
"""Before so many steps no text is known by heart, however short."""

_SQUARE_A_TOKEN = 3e4
"""The widest network of which the square of its weights is no more than this for each token that it has time to read
learns most in a budget: four times the tokens teach twice the weights."""

_PASSES_A_NETWORK, _NETWORKS = 1.2, 4
"""K networks of that width learn more than fewer where each makes K times so many passes over the text; no more than so
many are taken."""


@dataclass
class Choices:
    """Settings given by hand stay; the others are filled in, with a reason."""

    given: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Any]:
        """What was given, and what was filled in or changed."""
        return {**{name: value for name, value in self.given.items() if value is not None}, **self.values}

    def fill(self, name: str, value: Any, reason: str) -> Any:
        """Take what was given, else ``value`` and the reason for it; returns the setting's value."""
        if self.given.get(name) is not None:
            self.values[name] = self.given[name]
        else:
            self.values[name] = value
            self.reasons[name] = reason
        return self.values[name]


def budget(train: Choices) -> float | None:
    """Fill in the budgets; the seconds of training if time is what limits it, else None."""
    named = [name for name in ("max_time", "max_steps", "epochs") if train.given.get(name) is not None]
    if not named:
        train.fill("max_time", DEFAULT_TIME, "no budget was given: 5 minutes (Ctrl-C stops earlier and keeps all)")
    for name in named:
        train.fill(name, None, "")
    return train.values.get("max_time")


def machine(train: Choices, machine: Machine) -> None:
    """Fill in the device, and the precision it computes fastest in."""
    train.fill("device", machine.device, "the fastest device here")
    train.fill("precision", machine.precision, machine.reason)


def validation(data: Choices, tokens: int, budget: float, machine: Machine) -> float:
    """Fill in the share of the text that is kept for validation, and return it."""
    # A tenth, but of a large text no more than can be read in about a fiftieth of the time.
    readable = 0.02 * budget * machine.flops / 2e6 if math.isfinite(budget) else math.inf
    share = min(0.1, max(200_000.0, readable) / tokens)
    share = 0.0 if tokens < 40 else float(f"{share:.3g}")
    why = "the last tenth" if share == 0.1 else "as much as is quickly scored" if share else "too little text for any"
    return float(data.fill("val_fraction", share, why))


def side_inputs(model: Choices, text: TextFacts) -> None:
    """Fill in the settings of the side inputs, by the rule of each.

    Args:
        model: the settings of the network.
        text: what is known of the text and the machine.

    Raises:
        ConfigError: one was asked for that the device cannot train.
    """
    for kind in SIDE_INPUTS.values():
        if model.given.get("bidirectional"):
            off = kind()
            first = kind.__struct_fields__[0]
            model.fill(first, getattr(off, first), "only what was read before can be looked up")
            continue
        for name, (value, reason) in kind.plan(text).items():
            model.fill(name, value, reason)
        chosen = {name: model.values[name] for name in kind.__struct_fields__ if name in model.values}
        if kind.sparse and text.device.startswith("mps") and parse(kind, chosen).enabled:
            raise ConfigError(
                f"{kind.name} have sparse gradients, which Apple's GPUs cannot do",
                hint=f"Train on the CPU, or leave them out: `{kind.__struct_fields__[0]}=0`.",
            )


def shape(model: Choices, common: int) -> None:
    """Fill in all of the shape but what the time decides."""
    layers = model.fill("num_layers", 1, "one wide layer learns most in the same time")
    model.fill("cell", "lstm", "the cell that learns most on text")
    model.fill("embedding_size", 64 if common <= FEW_TOKENS else 128, f"for {common} frequent tokens")
    model.fill("skip_connections", layers > 1, "helps from two layers on, does nothing for one")


def networks(
    model: Choices,
    train: Choices,
    train_tokens: int,
    vocab_size: int,
    common: int,
    budget: float,
    machine: Machine,
) -> None:
    """Fill in how wide a network is, and how many learn side by side in the time that there is."""
    filled = 1024 * math.sqrt(train_tokens / 1e6)
    # Without a budget of time there is none to fit: as wide as the text can fill, but no day-long surprise.
    ceiling = filled if math.isfinite(budget) else min(512.0, filled)
    sizes = [size for size in _SIZES if size <= max(64.0, ceiling)]
    whole = Architecture.from_settings({**model.all, "vocab_size": vocab_size, "ensemble": 1})
    shapes = {size: whole.replace(hidden_size=size) for size in sizes}
    # What they know of rare tokens need not be taught.
    taught = {size: matmul_weight_count(shapes[size].replace(vocab_size=common)) for size in sizes}

    def read(size: int, count: int) -> float:
        return budget * speed(shapes[size], machine, members=count)

    def widest(count: int) -> int:
        fit = (size for size in sizes if taught[size] ** 2 <= _SQUARE_A_TOKEN * read(size, count))
        return max(fit, default=_SIZES[0])

    settled = any(model.given.get(name) for name in ("hidden_size", "bidirectional", "attention_window"))
    several = () if settled or counted(train) else range(_NETWORKS, 1, -1)
    enough = _PASSES_A_NETWORK * train_tokens
    count = next((count for count in several if read(widest(count), count) >= enough * count), 1)
    why = "several, averaged, learn less of it by heart than one that reads it more often"
    count = model.fill("ensemble", count, why if count > 1 else "one network")
    size = widest(count)
    why = "the widest that there is time enough to teach"
    if size == sizes[-1]:
        why = "as wide as this much text can fill" if ceiling == filled else "wide enough where no time is given"
    model.fill("hidden_size", size, why)


def counted(train: Choices) -> bool:
    """Whether steps or passes were asked for, not only a time."""
    return bool(train.values.get("max_steps") or train.values.get("epochs"))


def windows(data: Choices, train_tokens: int, device: str, *, bidirectional: bool) -> list[str]:
    """Fill in how the text is cut; what to tell when it is too short for that."""
    long = bidirectional or device.startswith("cuda")
    if bidirectional:
        data.fill("windows", "shuffled", "what reads both ways carries no state on")
    if device.startswith("cuda"):
        batch = data.fill("batch_size", 128, "what a GPU computes at once")
    else:
        batch = data.fill("batch_size", 16, "small batches learn most a second")
    why = "how much it sees at once" if bidirectional else "how far gradients reach back"
    seq_len = data.fill("seq_len", 128 if long else 64, why)
    notes = []
    if train_tokens <= seq_len:
        short = max(1, train_tokens // 2)
        notes.append(f"the text is too short for windows of {seq_len}: they are {short} long now")
        seq_len = data.values["seq_len"] = short
    most = max(1, train_tokens // (seq_len + 1))
    if batch > most:
        notes.append(f"the text is too short for {batch} windows a step: there are {most} now")
        batch = data.values["batch_size"] = most
    groups = max(1, min(64 // batch, train_tokens // (batch * seq_len * 4)))
    data.fill("streams", batch * groups, "more places of the text heard in turn")
    return notes


def passes(train: Choices, speed: float, rows: int, train_tokens: int, *, bidirectional: bool) -> list[str]:
    """End a run that has only a time to keep to before its text is learnt by heart; what to tell of that."""
    most = round(_PASSES * math.sqrt(max(1.0, train_tokens / _MANY_TOKENS)))
    most = max(most, math.ceil(_FEWEST_STEPS * rows / train_tokens))
    steps, _ = length(train.values, speed, rows, train_tokens)
    if bidirectional or counted(train) or steps * rows <= most * train_tokens:
        return []  # gaps differ from pass to pass: what reads both ways may read on
    train.fill("epochs", float(most), "more passes would only teach it this text by heart")
    return [f"training ends after {most} passes over this text: more would overfit (`epochs` sets another number)"]


def regularise(model: Choices, weights: int, passes: float, train_tokens: int) -> None:
    """Fill in the dropouts, for a network of so many weights that reads the text so many times."""
    # Capacity times practice: how often each token's worth of weights has heard the text. Narrow networks have less
    # to spare.
    pressure = math.log2(max(1e-9, weights * passes / train_tokens))
    spare = min(1.0, math.sqrt(model.values["hidden_size"] / 512))
    rate = round(min(0.6, max(0.0, 0.1 + 0.05 * (pressure - 2.3))) * spare, 2)
    why = f"about {passes:.1f} passes over the text" if passes >= 1 else "the text is not even read once"
    model.fill("dropout", rate, why)
    model.fill("weight_drop", round(max(0.0, rate - 0.3), 2), why)
    for kind in SIDE_INPUTS.values():  # a table memorises its text sooner than a network, from the first repetition on
        if kind.dropout_setting:
            model.fill(kind.dropout_setting, round(min(0.3, 0.05 * passes), 2) if passes >= 1 else 0.0, why)


def optimizer(
    train: Choices, hidden: int, steps: int, train_tokens: int, val_tokens: int, speed: float, rows: int
) -> None:
    """Fill in the optimizer, its settings, and how often the validation text is evaluated."""
    optimizer = train.fill("optimizer", "soap", "gets furthest in the same time")
    highest = {"soap": 1.5e-2, "adamw": 2.6e-2}.get(optimizer, 1.5e-2)
    train.fill("lr", float(f"{highest * min(1.0, 256 / hidden):.2g}"), f"for {hidden} features")
    memory = min(100.0, max(20.0, steps / 150))
    decay = 0.05 * min(6.0, math.sqrt(max(1.0, 1e6 / train_tokens)))
    train.fill("weight_decay", round(decay, 2), f"for {train_tokens:,} tokens")
    train.fill("beta2", round(1 - 1 / memory, 3), f"squared gradients are remembered for about {memory:.0f} steps")
    # Evaluations may take 3 % of the time, and twenty are enough to see a curve. Reading a token costs a third of
    # training on it; an eighth of the text is read twice more to choose between last and average weights.
    cost = (1.25 * val_tokens / (3 * speed) + 0.1) / (rows / speed)
    every = max(steps / 20, cost / 0.03)
    train.fill("eval_every", max(1, round(every)), "evaluations take at most 3 % of the time")
    train.fill("patience", 10, "ten evaluations without progress mean overfitting")
