"""The rules for automatic settings. Each fills in a few settings, with a reason for people.

The constants and formulas were measured; each rule names the page in ``docs/decisions`` with its figures.
"""

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
"""Seconds of training without an explicit budget."""

_SIZES = (32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048)
"""Hidden sizes to choose from."""

_MAX_PASSES, _MAX_PASSES_TOKENS = 12, 150_000
"""The most passes over a text of up to this many tokens; for longer texts it grows with the root of their length."""

_MIN_STEPS = 60
"""No text is memorised in fewer steps, however short it is."""
_MIN_STEPS_BEGUN, _MAX_PASSES_BEGUN = 300, 36
"""Nor in so many steps, or passes if those are fewer, by a network that was trained before and decays towards that."""

_SQUARED_WEIGHTS_PER_TOKEN = 3e4
"""The best network for a budget is the widest with at most this many squared weights per token it has time to read:
four times the tokens can train twice the weights."""

_LIKE_WHAT_WAS_READ = 1.4
"""Bits per character at which the starter reads a novel that is new to it: little in such a text must be learnt."""

_SETTLED, _RISE = 300, 60
"""Steps of a fine-tuning from which on the learning rate is as high for a text like what was read before as for any
other; and steps in which it rises, if there are enough."""

_LIKE_ENGLISH = 2.0
"""Bits per character at which it reads most other English: a text that it reads worse is held less to it, whatever its
length."""

_PASSES_PER_NETWORK, _MAX_NETWORKS = 1.2, 4
"""An ensemble of K networks beats a smaller one if each network makes at least this many times K passes over the text;
and the largest ensemble to choose."""


@dataclass
class Choices:
    """The settings of one section: explicit ones are kept, the others are filled in, with a reason.

    Args:
        given: the explicit settings, by name; None counts as missing.
        values: all settings that a rule has decided, by name.
        reasons: the reason for each automatic setting, by name.
    """

    given: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Any]:
        """The explicit settings, and those that rules have filled in or changed."""
        return {**{name: value for name, value in self.given.items() if value is not None}, **self.values}

    def set_default(self, name: str, value: Any, reason: str) -> Any:
        """Set a setting unless it was given explicitly.

        Args:
            name: the setting.
            value: its automatic value.
            reason: the reason for that value, in plain words.

        Returns:
            The setting's value: the explicit one, or ``value``.
        """
        if self.given.get(name) is not None:
            self.values[name] = self.given[name]
        else:
            self.values[name] = value
            self.reasons[name] = reason
        return self.values[name]


def budget(train: Choices) -> float | None:
    """Fill in the budgets: `DEFAULT_TIME` if none was given.

    Args:
        train: the training settings.

    Returns:
        Seconds of training if time is a budget, else None.
    """
    explicit = [name for name in ("max_time", "max_steps", "epochs") if train.given.get(name) is not None]
    if not explicit:
        train.set_default(
            "max_time", DEFAULT_TIME, "no budget was given: 5 minutes (Ctrl-C stops earlier and keeps all)"
        )
    for name in explicit:
        train.set_default(name, None, "")
    return train.values.get("max_time")


def machine(train: Choices, machine: Machine) -> None:
    """Fill in the device, and the precision that is fastest on it.

    Args:
        train: the training settings.
        machine: the measured machine.
    """
    train.set_default("device", machine.device, "the fastest device here")
    train.set_default("precision", machine.precision, machine.precision_reason)


def validation(data: Choices, tokens: int, budget: float, machine: Machine) -> float:
    """Fill in the share of the text that is kept for validation.

    A tenth; of a large text only as much as can be scored in about a fiftieth of the time, but 200,000 tokens at least.

    Args:
        data: the data settings.
        tokens: tokens of the whole text.
        budget: seconds of training, or infinity.
        machine: the measured machine.

    Returns:
        The share, in [0, 0.5].
    """
    scorable = 0.02 * budget * machine.flops_per_second / 2e6 if math.isfinite(budget) else math.inf
    share = min(0.1, max(200_000.0, scorable) / tokens)
    share = 0.0 if tokens < 40 else float(f"{share:.3g}")
    reason = (
        "the last tenth" if share == 0.1 else "as much as can be scored quickly" if share else "the text is too short"
    )
    return float(data.set_default("val_fraction", share, reason))


def side_inputs(model: Choices, text: TextFacts) -> None:
    """Fill in the settings of the side inputs, by the `plan` of each.

    Sources: ``docs/decisions/ngram-embedding.md``, ``match-memory.md`` and ``large-alphabets.md``.

    Args:
        model: the architecture's settings.
        text: the facts about the text and the machine.

    Raises:
        ConfigError: a side input was given explicitly that the device cannot train.
    """
    for kind in SIDE_INPUTS.values():
        if model.given.get("bidirectional"):
            disabled = kind()
            first = kind.__struct_fields__[0]
            model.set_default(first, getattr(disabled, first), "side inputs need a causal network")
            continue
        for name, (value, reason) in kind.plan(text).items():
            model.set_default(name, value, reason)
        chosen = {name: model.values[name] for name in kind.__struct_fields__ if name in model.values}
        if kind.sparse and text.device.startswith("mps") and parse(kind, chosen).enabled:
            raise ConfigError(
                f"{kind.name} have sparse gradients, which Apple's GPUs cannot do",
                hint=f"Train on the CPU, or leave them out: `{kind.__struct_fields__[0]}=0`.",
            )


def shape(model: Choices, effective_vocab_size: int) -> None:
    """Fill in the architecture but for its width.

    One wide layer beats two at every budget; skip connections help from two layers on: ``docs/decisions/one-layer.md``.
    A vocabulary of subwords needs larger embeddings than one of characters: ``docs/decisions/large-alphabets.md``.

    Args:
        model: the architecture's settings.
        effective_vocab_size: the number of different tokens that make up 99 % of the text.
    """
    layers = model.set_default("num_layers", 1, "one wide layer learns most in the same time")
    model.set_default("cell", "lstm", "the cell that learns most on text")
    size = 64 if effective_vocab_size <= FEW_TOKENS else 128
    model.set_default("embedding_size", size, f"for {effective_vocab_size} frequent tokens")
    model.set_default("skip_connections", layers > 1, "helps from two layers on, does nothing for one")


def fine_tuning(model: Choices, train: Choices, train_tokens: int, bits: float, passes: float, steps: float) -> None:
    """Fill in what is special about a run that begins from a trained network: it must not forget more than it learns.

    Source: ``docs/decisions/fine-tuning.md``.

    Args:
        model: the architecture's settings.
        train: the training settings.
        train_tokens: tokens of the training text.
        bits: bits per character at which the network reads the text before, as in `Start.bits`.
        passes: predicted passes over the training text.
        steps: predicted steps.
    """
    doublings = math.log2(max(1.0, passes / _MAX_PASSES))
    dropout = min(0.3, 0.15 + 0.1 * doublings)
    model.set_default(
        "dropout", round(dropout, 2), f"the network was trained before; {passes:.1f} passes over the text"
    )
    model.set_default("weight_drop", 0.0, "the network was trained before")
    train.set_default("decay_to_start", True, "what the text says nothing about stays as it was learnt before")
    of_length = min(100.0, 30.0 * (45_000 / train_tokens) ** 1.4) * 3.0 ** min(0.0, _LIKE_WHAT_WAS_READ - bits)
    decay = max(of_length, 3.0 * 3.0 ** min(0.0, _LIKE_ENGLISH - bits))
    read = f", read at {bits:.2f} bits per character," if bits else ""
    reason = f"{train_tokens:,} tokens{read} teach that much of their own"
    train.set_default("weight_decay", float(f"{decay:.2g}"), reason)
    rate = 3e-3 * min(1.0, steps / _SETTLED) if bits < _LIKE_ENGLISH else 3e-3
    train.set_default("lr", float(f"{rate:.2g}"), f"small: the network was trained before; {steps:.0f} steps")
    warmup = min(0.4, max(0.03, _RISE / max(1.0, steps)))
    train.set_default("warmup", round(warmup, 2), "the first steps, whose direction is not yet known, are small")


def networks(
    model: Choices,
    train: Choices,
    train_tokens: int,
    vocab_size: int,
    effective_vocab_size: int,
    budget: float,
    machine: Machine,
) -> None:
    """Fill in the width of a network, and the number of networks in the ensemble.

    The width is the largest whose weights there is time to train: ``docs/decisions/width.md``. Only the weights for
    frequent tokens count, since those for rare ones are hardly trained: ``docs/decisions/large-alphabets.md``. The
    ensemble is the largest for which each member makes enough passes: ``docs/decisions/ensembles.md``.

    Args:
        model: the architecture's settings.
        train: the training settings.
        train_tokens: tokens of the training text.
        vocab_size: V.
        effective_vocab_size: the number of different tokens that make up 99 % of the text.
        budget: seconds of training, or infinity.
        machine: the measured machine.
    """
    text_limit = 1024 * math.sqrt(train_tokens / 1e6)
    # Without a time budget the text alone limits the width, and 512 avoids runs that take days.
    limit = text_limit if math.isfinite(budget) else min(512.0, text_limit)
    sizes = [size for size in _SIZES if size <= max(64.0, limit)]
    single = Architecture.from_settings({**model.all, "vocab_size": vocab_size, "ensemble": 1})
    architectures = {size: single.replace(hidden_size=size) for size in sizes}
    trained_weights = {
        size: matmul_weight_count(architecture.replace(vocab_size=effective_vocab_size))
        for size, architecture in architectures.items()
    }

    def tokens_read(size: int, count: int) -> float:
        return budget * speed(architectures[size], machine, members=count)

    def widest(count: int) -> int:
        fitting = (
            size
            for size in sizes
            if trained_weights[size] ** 2 <= _SQUARED_WEIGHTS_PER_TOKEN * tokens_read(size, count)
        )
        return max(fitting, default=_SIZES[0])

    one_only = any(model.given.get(name) for name in ("hidden_size", "bidirectional", "attention_window"))
    counts = () if one_only or has_step_budget(train) else range(_MAX_NETWORKS, 1, -1)
    needed = _PASSES_PER_NETWORK * train_tokens
    count = next((count for count in counts if tokens_read(widest(count), count) >= needed * count), 1)
    reason = "several networks, averaged, overfit less than one that makes more passes"
    count = model.set_default("ensemble", count, reason if count > 1 else "one network")
    size = widest(count)
    reason = "the widest network that there is time to train"
    if size == sizes[-1]:
        reason = "as wide as this length of text supports" if limit == text_limit else "enough without a time budget"
    model.set_default("hidden_size", size, reason)


def has_step_budget(train: Choices) -> bool:
    """Whether the budget is a number of steps or passes, and not only a time."""
    return bool(train.values.get("max_steps") or train.values.get("epochs"))


def windows(data: Choices, train_tokens: int, device: str, *, bidirectional: bool) -> list[str]:
    """Fill in the batch size, the window length and the number of streams.

    On a CPU small batches with high learning rates learn most per second:
    ``docs/decisions/learning-rate-and-batch.md``.
    Windows of a bidirectional network are independent and longer: ``docs/decisions/bidirectional.md``.

    Args:
        data: the data settings.
        train_tokens: tokens of the training text.
        device: torch's name of the device.
        bidirectional: whether the network is.

    Returns:
        Notes about explicit settings that were lowered because the text is short.
    """
    on_gpu = device.startswith("cuda")
    if bidirectional:
        data.set_default("windows", "shuffled", "a bidirectional network carries no state")
    if on_gpu:
        batch = data.set_default("batch_size", 128, "enough parallel work for a GPU")
    else:
        batch = data.set_default("batch_size", 16, "small batches learn most per second")
    reason = "the context it sees at once" if bidirectional else "the length of back-propagation"
    seq_len = data.set_default("seq_len", 128 if bidirectional or on_gpu else 64, reason)
    notes = []
    if train_tokens <= seq_len:
        shorter = max(1, train_tokens // 2)
        notes.append(f"the text is too short for windows of {seq_len} tokens: seq_len is now {shorter}")
        seq_len = data.values["seq_len"] = shorter
    max_batch = max(1, train_tokens // (seq_len + 1))
    if batch > max_batch:
        notes.append(f"the text is too short for {batch} windows per step: batch_size is now {max_batch}")
        batch = data.values["batch_size"] = max_batch
    groups = max(1, min(64 // batch, train_tokens // (batch * seq_len * 4)))
    data.set_default("streams", batch * groups, "steps alternate between more parts of the text")
    return notes


def records(data: Choices, count: int, train_tokens: int, device: str) -> int:
    """Fill in the batch size and the window length for a text of records: a step has as many tokens as with one text.

    Args:
        data: the data settings.
        count: records of the whole text.
        train_tokens: tokens of the training text.
        device: torch's name of the device.

    Returns:
        Tokens per step.
    """
    mean = train_tokens / max(1, count)
    on_gpu = device.startswith("cuda")
    seq_len = data.set_default("seq_len", 128 if on_gpu else 64, "longer records are read in several windows")
    tokens = (128 if on_gpu else 16) * seq_len
    rows = max(1, min(count // 4, round(tokens / min(mean, seq_len)), 512))
    rows -= rows % 8 if rows > 8 else 0  # so that two, four or eight processes can share them
    batch = data.set_default("batch_size", rows, f"records of {mean:.0f} tokens on average, side by side")
    data.set_default("streams", batch, "each record is read from the zero state")
    return round(float(batch * min(mean, seq_len)))


def passes(
    train: Choices, speed: float, rows: int, train_tokens: int, *, bidirectional: bool, begun: bool
) -> list[str]:
    """Limit the passes of a run that has only a time budget, so that it ends before it memorises its text.

    Sources: ``docs/decisions/short-texts.md``; of a run that begins from a trained network,
    ``docs/decisions/fine-tuning.md``. Bidirectional networks are exempt: their masks differ from pass to pass.

    Args:
        train: the training settings.
        speed: tokens per second in training.
        rows: tokens per step, `batch_size` times `seq_len`.
        train_tokens: tokens of the training text.
        bidirectional: whether the network is.
        begun: whether it begins from a trained one.

    Returns:
        A note if the passes were limited, else nothing.
    """
    most = round(_MAX_PASSES * math.sqrt(max(1.0, train_tokens / _MAX_PASSES_TOKENS)))
    if begun:
        most = max(most, min(_MAX_PASSES_BEGUN, math.ceil(_MIN_STEPS_BEGUN * rows / train_tokens)))
    most = max(most, math.ceil(_MIN_STEPS * rows / train_tokens))
    steps, _ = length(train.values, speed, rows, train_tokens)
    if bidirectional or has_step_budget(train) or steps * rows <= most * train_tokens:
        return []
    train.set_default("epochs", float(most), "more passes would overfit this text")
    return [f"training ends after {most} passes over this text: more would overfit (`epochs` sets another number)"]


def regularise(model: Choices, weights: int, passes: float, train_tokens: int) -> None:
    """Fill in the dropout rates.

    Dropout rises by 0.05 with each doubling of weights times passes per training token, and is lower for networks
    narrower than 512; DropConnect only above a dropout of 0.3. Tables of side inputs memorise a text earlier than the
    network does, from the first repetition on: 0.05 per pass. Source: ``docs/decisions/regularisation.md``.

    Args:
        model: the architecture's settings.
        weights: weights of one network in matrix products.
        passes: predicted passes over the training text.
        train_tokens: tokens of the training text.
    """
    overfitting = math.log2(max(1e-9, weights * passes / train_tokens))
    width_factor = min(1.0, math.sqrt(model.values["hidden_size"] / 512))
    rate = round(min(0.6, max(0.0, 0.1 + 0.05 * (overfitting - 2.3))) * width_factor, 2)
    reason = f"about {passes:.1f} passes over the text" if passes >= 1 else "less than one pass over the text"
    model.set_default("dropout", rate, reason)
    model.set_default("weight_drop", round(max(0.0, rate - 0.3), 2), reason)
    for kind in SIDE_INPUTS.values():
        if kind.dropout_setting:
            table_rate = round(min(0.3, 0.05 * passes), 2) if passes >= 1 else 0.0
            model.set_default(kind.dropout_setting, table_rate, reason)


def optimizer(
    train: Choices, hidden: int, steps: int, train_tokens: int, val_tokens: int, speed: float, rows: int
) -> None:
    """Fill in the optimizer, its settings, and the interval of evaluations.

    Sources: SOAP, ``docs/decisions/soap.md``; learning rate and β2, ``docs/decisions/learning-rate-and-batch.md``;
    weight decay, ``docs/decisions/regularisation.md``; patience, ``docs/decisions/short-texts.md``.

    Args:
        train: the training settings.
        hidden: H.
        steps: predicted steps.
        train_tokens: tokens of the training text.
        val_tokens: tokens of the validation text.
        speed: tokens per second in training.
        rows: tokens per step, `batch_size` times `seq_len`.
    """
    optimizer = train.set_default("optimizer", "soap", "learns most in the same time")
    peak = {"soap": 1.5e-2, "adamw": 2.6e-2}.get(optimizer, 1.5e-2)
    train.set_default("lr", float(f"{peak * min(1.0, 256 / hidden):.2g}"), f"for {hidden} hidden units")
    decay = 0.05 * min(6.0, math.sqrt(max(1.0, 1e6 / train_tokens)))
    train.set_default("weight_decay", round(decay, 2), f"for {train_tokens:,} tokens")
    memory = min(100.0, max(20.0, steps / 150))
    train.set_default("beta2", round(1 - 1 / memory, 3), f"averages squared gradients over about {memory:.0f} steps")
    if train.values.get("max_time") is None:
        # Twenty evaluations are enough to see a curve, and they may take at most 3 % of the time. With a time budget
        # they are measured while training. Scoring a token takes a third of the time of training on it; an eighth of
        # the text is scored twice more, to choose between the last weights and their average.
        steps_per_evaluation = (1.25 * val_tokens / (3 * speed) + 0.1) / (rows / speed)
        interval = max(steps / 20, steps_per_evaluation / 0.03)
        train.set_default("eval_every", max(1, round(interval)), "evaluations take at most 3 % of the time")
    train.set_default("patience", 10, "ten evaluations without progress mean overfitting")
