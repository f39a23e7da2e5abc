"""The settings a text, a budget and a machine ask for, each with its reason. No torch, no clock: a pure function.

Learning rate and β2 were read off runs on tiny Shakespeare on one machine, passes also off Python's documentation and
off parts of both, width also off the King James Bible and a text of 11.5 MB (`benchmarks/LOG.md` has the figures); what
follows from them for other texts, budgets and machines is reasoned, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from charlstm.config import DataConfig, ModelConfig, RunConfig, TrainConfig, explain
from charlstm.corpora.encode import boundary
from charlstm.errors import ConfigError, OutOfMemoryError, TextError
from charlstm.shapes import has_ngrams, multiplied_count, parameter_count, stacks

DEFAULT_TIME = 300.0
"""Seconds of training when no budget is given."""

_SIZES = (32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048)

_FEW_TOKENS = 512
"""Where so many different tokens and fewer make up nearly all of a text they are taken for letters or bytes."""

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

_BESIDE_PRODUCTS, _BESIDE_A_NETWORK, _BESIDE_A_SYMBOL = 0.8e6, 0.7e6, 1.3e3
"""What all else takes for a token, for each network and each symbol of the vocabulary, in operations of products."""


class Machine(Protocol):
    """What `probe.Machine` tells."""

    @property
    def device(self) -> str:
        """As torch names it."""

    @property
    def precision(self) -> Any:
        """``fp32``, ``bf16`` or ``fp16``."""

    @property
    def flops(self) -> float:
        """Operations a second in training."""

    @property
    def memory(self) -> int:
        """Bytes free."""

    @property
    def reason(self) -> str:
        """How that was found."""


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


@dataclass
class _Choices:
    """Settings given by hand stay; the others are filled in, with a reason."""

    given: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Any]:
        """What was given, and what was filled in or changed."""
        return {**{name: value for name, value in self.given.items() if value is not None}, **self.values}

    def fill(self, name: str, value: Any, reason: str) -> Any:
        if self.given.get(name) is not None:
            self.values[name] = self.given[name]
        else:
            self.values[name] = value
            self.reasons[name] = reason
        return self.values[name]


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
    model, data, train = (_Choices(given.get(section, {})) for section in ("model", "data", "train"))
    seconds = _budget(train)
    _machine(train, machine)
    budget = seconds if seconds is not None else math.inf
    val = _validation(data, tokens, budget, machine)
    train_tokens = boundary(tokens, val)
    common = common or vocab_size
    _look_ups(model, train_tokens, common, train.values["device"])
    _shape(model, common)
    _networks(model, train, train_tokens, vocab_size, common, budget, machine)
    notes = _windows(data, train_tokens, train.values["device"], bidirectional=bool(model.given.get("bidirectional")))
    rows = data.values["batch_size"] * data.values["seq_len"]
    speed = _speed({**model.all, "vocab_size": vocab_size}, machine)
    notes += _passes(train, speed, rows, train_tokens, bidirectional=bool(model.given.get("bidirectional")))
    steps, duration = _length(train.values, speed, rows, train_tokens)
    passes = steps * rows / train_tokens
    of_one = multiplied_count({**model.all, "vocab_size": vocab_size, "ensemble": 1})
    _regularise(model, of_one, passes, train_tokens)
    _optimizer(train, model.values["hidden_size"], steps, train_tokens, tokens - train_tokens, speed, rows)
    run = _checked(name, model, data, train, vocab_size)
    memory = _memory(run)
    if memory > machine.memory:
        raise OutOfMemoryError(
            f"these settings need about {memory / 1e9:.1f} GB and {machine.memory / 1e9:.1f} GB are free",
            hint="Lower --hidden-size, --num-layers, --batch-size or --seq-len.",
        )
    reasons = {**model.reasons, **data.reasons, **train.reasons}
    parameters = parameter_count(run.model.model_dump())
    return Plan(run, reasons, tuple(notes), parameters, memory, steps, duration, speed)


def _budget(train: _Choices) -> float | None:
    """Fill in the budgets; the seconds of training if time is what limits it, else None."""
    named = [name for name in ("max_time", "max_steps", "epochs") if train.given.get(name) is not None]
    if not named:
        train.fill("max_time", DEFAULT_TIME, "no budget was given: 5 minutes (Ctrl-C stops earlier and keeps all)")
    for name in named:
        train.fill(name, None, "")
    return train.values.get("max_time")


def _machine(train: _Choices, machine: Machine) -> None:
    train.fill("device", machine.device, "the fastest device here")
    train.fill("precision", machine.precision, machine.reason)


def _validation(data: _Choices, tokens: int, budget: float, machine: Machine) -> float:
    # A tenth, but of a large text no more than can be read in about a fiftieth of the time.
    readable = 0.02 * budget * machine.flops / 2e6 if math.isfinite(budget) else math.inf
    share = min(0.1, max(200_000.0, readable) / tokens)
    share = 0.0 if tokens < 40 else float(f"{share:.3g}")
    why = "the last tenth" if share == 0.1 else "as much as is quickly scored" if share else "too little text for any"
    return float(data.fill("val_fraction", share, why))


def _look_ups(model: _Choices, train_tokens: int, common: int, device: str) -> None:
    """Fill in what is looked up of the last tokens: their n-grams, and what followed them before."""
    if model.given.get("bidirectional"):
        for name, nothing in (("ngram_order", 0), ("recall", ())):
            model.fill(name, nothing, "only of what was read before can anything be looked up")
        return
    orders = (3, 6) if common <= _FEW_TOKENS else (2, 3)
    model.fill("recall", orders, f"it recalls what followed the same {orders[0]}, the same {orders[1]} before")
    if device.startswith("mps"):
        if model.fill("ngram_order", 0, "Apple's GPUs have no sparse gradients") >= 2:
            raise ConfigError(
                "a table of n-grams has sparse gradients, which Apple's GPUs cannot do",
                hint="Train with --device cpu, or leave the table out with --ngram-order 0.",
            )
        return
    order = 6 if common <= _FEW_TOKENS else 3
    model.fill("ngram_order", order, "what the last characters are together is looked up")
    rows = 1 << max(10, min(17, (train_tokens // 16).bit_length()))
    model.fill("ngram_rows", rows, f"for {train_tokens:,} tokens")


def _shape(model: _Choices, common: int) -> None:
    """Fill in all of the shape but what the time decides."""
    layers = model.fill("num_layers", 1, "one wide layer learns most in the same time")
    model.fill("cell", "lstm", "the cell that learns most on text")
    model.fill("embedding_size", 64 if common <= _FEW_TOKENS else 128, f"for {common} frequent tokens")
    model.fill("skip", layers > 1, "helps from two layers on, does nothing for one")


def _networks(
    model: _Choices,
    train: _Choices,
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
    shapes = {size: {**model.all, "hidden_size": size, "vocab_size": vocab_size, "ensemble": 1} for size in sizes}
    # What they know of rare tokens need not be taught.
    taught = {size: multiplied_count({**shapes[size], "vocab_size": common}) for size in sizes}

    def read(size: int, count: int) -> float:
        return budget * _speed({**shapes[size], "ensemble": count}, machine)

    def widest(count: int) -> int:
        fit = (size for size in sizes if taught[size] ** 2 <= _SQUARE_A_TOKEN * read(size, count))
        return max(fit, default=_SIZES[0])

    settled = any(model.given.get(name) for name in ("hidden_size", "bidirectional", "attention_window"))
    several = () if settled or _counted(train) else range(_NETWORKS, 1, -1)
    enough = _PASSES_A_NETWORK * train_tokens
    count = next((count for count in several if read(widest(count), count) >= enough * count), 1)
    why = "several, averaged, learn less of it by heart than one that reads it more often"
    count = model.fill("ensemble", count, why if count > 1 else "one network")
    size = widest(count)
    why = "the widest that there is time enough to teach"
    if size == sizes[-1]:
        why = "as wide as this much text can fill" if ceiling == filled else "wide enough where no time is given"
    model.fill("hidden_size", size, why)


def _speed(model: Mapping[str, Any], machine: Machine) -> float:
    """Tokens a second in training. Each network is asked alone, so each gives all symbols their share."""
    of_a_network = _BESIDE_A_NETWORK + _BESIDE_A_SYMBOL * model["vocab_size"]
    operations: float = 6 * multiplied_count(model) + _BESIDE_PRODUCTS + model["ensemble"] * of_a_network
    return machine.flops / operations


def _counted(train: _Choices) -> bool:
    """Whether steps or passes were asked for, not only a time."""
    return bool(train.values.get("max_steps") or train.values.get("epochs"))


def _windows(data: _Choices, train_tokens: int, device: str, *, bidirectional: bool) -> list[str]:
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


def _passes(train: _Choices, speed: float, rows: int, train_tokens: int, *, bidirectional: bool) -> list[str]:
    """End a run that has only a time to keep to before its text is learnt by heart; what to tell of that."""
    most = round(_PASSES * math.sqrt(max(1.0, train_tokens / _MANY_TOKENS)))
    most = max(most, math.ceil(_FEWEST_STEPS * rows / train_tokens))
    steps, _ = _length(train.values, speed, rows, train_tokens)
    if bidirectional or _counted(train) or steps * rows <= most * train_tokens:
        return []  # gaps differ from pass to pass: what reads both ways may read on
    train.fill("epochs", float(most), "more passes would only teach it this text by heart")
    return [f"training ends after {most} passes over this text: more would learn it by heart (--epochs says otherwise)"]


def _length(train: Mapping[str, Any], speed: float, rows: int, train_tokens: int) -> tuple[int, float]:
    """Expected steps and seconds until the first budget ends."""
    # A step costs at least a millisecond of bookkeeping, however small the network.
    step_seconds = max(rows / speed, 1e-3)
    steps = min(
        train["max_time"] / step_seconds if train.get("max_time") else math.inf,
        train.get("max_steps") or math.inf,
        train["epochs"] * train_tokens / rows if train.get("epochs") else math.inf,
    )
    return max(1, round(steps)), steps * step_seconds


def _regularise(model: _Choices, weights: int, passes: float, train_tokens: int) -> None:
    # Capacity times practice: how often each token's worth of weights has heard the text. Narrow networks have less
    # to spare.
    pressure = math.log2(max(1e-9, weights * passes / train_tokens))
    spare = min(1.0, math.sqrt(model.values["hidden_size"] / 512))
    rate = round(min(0.6, max(0.0, 0.1 + 0.05 * (pressure - 2.3))) * spare, 2)
    why = f"about {passes:.1f} passes over the text" if passes >= 1 else "the text is not even read once"
    model.fill("dropout", rate, why)
    model.fill("weight_drop", round(max(0.0, rate - 0.3), 2), why)
    # A table learns its text by heart sooner than a network, and from the first repetition on.
    model.fill("ngram_dropout", round(min(0.3, 0.05 * passes), 2) if passes >= 1 else 0.0, why)


def _optimizer(
    train: _Choices, hidden: int, steps: int, train_tokens: int, val_tokens: int, speed: float, rows: int
) -> None:
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


def _memory(run: RunConfig) -> int:
    """Bytes for weights, gradients, two moments, the average, what is recalled, and one step's activations."""
    shapes = run.model.model_dump()
    table = run.model.ngram_rows * run.model.embedding_size if has_ngrams(shapes) else 0  # has none of those
    weights = parameter_count(shapes) - table
    # The bases of SOAP are squares as wide as their matrices: about half as much again, and their products as much.
    copies = 4 + bool(run.train.average) + (run.train.optimizer == "soap")
    model = run.model
    layers = model.num_layers * len(stacks(shapes))
    a_token = layers * 10 * model.hidden_size + 3 * model.ensemble * model.vocab_size + 2 * model.embedding_size
    if model.attention_window:
        a_token += 2 * model.hidden_size + 4 * (model.attention_window + run.data.seq_len)
    recalled = len(model.recall) * model.recall_rows * (run.data.streams + run.data.batch_size)
    return 4 * (table + recalled + copies * weights + 2 * run.data.batch_size * run.data.seq_len * a_token)


def _checked(name: str, model: _Choices, data: _Choices, train: _Choices, vocab_size: int) -> RunConfig:
    try:
        return RunConfig(
            name=name,
            model=ModelConfig(**{**model.all, "vocab_size": vocab_size}),
            data=DataConfig(**data.all),
            train=TrainConfig(**train.all),
        )
    except ValidationError as fault:
        raise ConfigError(explain(fault)) from fault
