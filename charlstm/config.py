"""The settings of a run: its network, its data and its training.

Each setting is declared once, here or in `nn`: its type, range, default and one sentence of help. Command-line options
are generated from these declarations, and settings files and checkpoints are checked against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError
from charlstm.nn.architecture import Architecture, setting_names
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.schemas import (
    Fraction,
    PositiveFloat,
    PositiveInt,
    Schema,
    Setting,
    bad_value,
    parse,
    settings_of,
    to_plain,
)


class DataConfig(Schema, frozen=True, kw_only=True):
    """The text, the tokenizer and the batches."""

    sources: Annotated[
        tuple[str, ...],
        Meta(description="Files, folders, globs, corpora (english, tinyshakespeare, python:docs, …), - for a pipe."),
    ] = ("english",)
    encoding: Annotated[
        str | None, Meta(description="Encoding of the text if it is not UTF-8: cp1252, utf-16, …; auto guesses it.")
    ] = None
    bad_bytes: Annotated[
        Literal["error", "replace", "skip"],
        Meta(description="Bytes that do not fit the encoding: error, replace by U+FFFD, or skip."),
    ] = "error"
    newlines: Annotated[
        Literal["normalise", "keep"], Meta(description=r"Line ends: normalise (\r\n becomes \n) or keep.")
    ] = "normalise"
    records: Annotated[
        str,
        Meta(description="Texts in a list: lines, paragraphs, or the line between them; none: one text."),
    ] = "none"
    tokenizer: Annotated[
        Literal["char", "byte", "unigram", "bpe"],
        Meta(description="Tokens: char (characters), byte (any file), unigram or bpe (subwords)."),
    ] = "char"
    vocab_size: Annotated[PositiveInt | None, Meta(description="Number of subwords that unigram or bpe learns.")] = None
    min_count: Annotated[PositiveInt, Meta(description="Characters rarer than this become one unknown symbol.")] = 1
    val_fraction: Annotated[
        float, Meta(ge=0.0, le=0.5, description="Share of the text, at its end, kept for validation.")
    ] = 0.1
    windows: Annotated[
        Literal["stateful", "shuffled"],
        Meta(description="stateful: each window continues from the last state; shuffled: random order."),
    ] = "stateful"
    batch_size: Annotated[PositiveInt, Meta(description="Windows of text per training step.")] = 16
    seq_len: Annotated[
        PositiveInt, Meta(description="Length of a window and of truncated back-propagation, in tokens.")
    ] = 64
    streams: Annotated[
        int,
        Meta(ge=1, le=1 << 20, description="Parallel streams of text, each with a state; steps take turns on them."),
    ] = 16
    reset_prob: Annotated[
        Fraction, Meta(description="Probability of resetting the state at the start of a window.")
    ] = 0.05

    @property
    def lists_records(self) -> bool:
        """Whether the text is a list of texts."""
        return self.records != "none"


class TrainConfig(Schema, frozen=True, kw_only=True):
    """The budget, the optimizer and the device of training."""

    max_time: Annotated[PositiveFloat | None, Meta(description="Train for this long: 90s, 5m, 1h30m.")] = None
    max_steps: Annotated[PositiveInt | None, Meta(description="Train for this many steps.")] = None
    epochs: Annotated[PositiveFloat | None, Meta(description="Train for this many passes over the text.")] = None
    optimizer: Annotated[
        Literal["soap", "adamw"], Meta(description="soap (fewer steps, each a little longer) or adamw.")
    ] = "soap"
    lr: Annotated[float, Meta(gt=0.0, le=1e38, description="Peak learning rate; too high and training diverges.")] = (
        6e-3
    )
    warmup: Annotated[Fraction, Meta(description="Share of training in which the learning rate rises.")] = 0.03
    beta2: Annotated[Fraction, Meta(description="Decay of the optimizer's average of squared gradients.")] = 0.99
    grad_clip: Annotated[float, Meta(gt=0.0, le=1e38, description="Clip the gradient's norm to this value.")] = 0.5
    weight_decay: Annotated[float, Meta(ge=0.0, le=1e6, description="Weight decay of the weight matrices.")] = 0.05
    decay_to_start: Annotated[
        bool, Meta(description="Weights decay towards those that training starts from, not towards zero.")
    ] = False
    ema_decay: Annotated[Fraction, Meta(description="Decay of the moving average of the weights; 0: no average.")] = (
        0.995
    )
    eval_every: Annotated[PositiveInt | None, Meta(description="Steps between evaluations on the validation text.")] = (
        None
    )
    patience: Annotated[
        int, Meta(ge=0, le=1 << 31, description="Stop after this many evaluations without progress; 0: never.")
    ] = 0
    on_divergence: Annotated[
        Literal["stop", "rollback"],
        Meta(description="When the loss is not finite: stop, or rollback to the last save and halve the rate."),
    ] = "stop"
    save_every: Annotated[
        PositiveFloat | None,
        Meta(description="Time between saves to resume from; else 30 seconds, or more where one takes long."),
    ] = None
    preview: Annotated[
        int, Meta(ge=0, le=1 << 20, description="Length of the sample printed during training, in tokens; 0: none.")
    ] = 200
    seed: Annotated[
        int,
        Meta(
            ge=0,
            le=(1 << 63) - 1,
            description="The same seed and settings train the same network, if training ends by steps or epochs.",
        ),
    ] = 1
    device: Annotated[str, Meta(description="Device to train on: cpu, cuda, cuda:1 or mps.")] = "cpu"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], Meta(description="Precision of matrix products: fp32, bf16 or fp16.")
    ] = "fp32"
    threads: Annotated[int, Meta(ge=1, le=4096, description="Number of CPU threads.")] | None = None


class RunConfig(Schema, frozen=True, kw_only=True):
    """All settings of one run, as its checkpoint stores them."""

    name: str
    """The run's name: its folder's name below the checkpoint root."""
    model: Architecture
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], where: object = "") -> RunConfig:
        """Check plain values and create the settings of a run from them: the inverse of `to_plain`.

        Args:
            values: ``name``, ``model``, ``data`` and ``train``; the last two may be missing.
            where: the file or place the values come from, for the error message.

        Returns:
            The settings.

        Raises:
            ConfigError: a section or a setting is invalid, or settings exclude each other.
        """
        name = values.get("name", "")
        sections = {section: values.get(section, {}) for section in SECTIONS}
        if not isinstance(name, str):
            raise ConfigError(bad_value("name", name, "a text"), where=where)
        for section, table in sections.items():
            if not isinstance(table, Mapping):
                raise ConfigError(bad_value(section, table, "a table"), where=where)
        model = Architecture.from_settings(sections["model"], where)
        data, train = parse(DataConfig, sections["data"], where), parse(TrainConfig, sections["train"], where)
        if model.bidirectional and data.windows == "stateful":
            reason = "no state can be carried on from the text's end"
            raise ConfigError(f"`bidirectional` needs `windows='shuffled'`: {reason}", where=where)
        if data.lists_records and (model.bidirectional or data.windows == "shuffled"):
            other = "`bidirectional`" if model.bidirectional else "`windows='shuffled'`"
            raise ConfigError(f"`records={data.records!r}` cannot be combined with {other}", where=where)
        return cls(name=name, model=model, data=data, train=train)

    def to_plain(self) -> dict[str, Any]:
        """Return all settings by section, ready for JSON."""
        return {
            "name": self.name,
            "model": self.model.settings(),
            "data": to_plain(self.data),
            "train": to_plain(self.train),
        }

    def replace(self, **changes: Any) -> RunConfig:
        """Return a copy with another name, model, data or train."""
        return msgspec.structs.replace(self, **changes)


SECTIONS = ("model", "data", "train")

BUDGETS = ("max_time", "max_steps", "epochs")
"""The settings that limit a run; it ends when the first limit is reached."""
MAY_CHANGE = (*BUDGETS, "device", "precision", "threads", "on_divergence")
"""The settings of `TrainConfig` that may change when a run is resumed: its budget, its device, and what it does when
the loss is no longer finite."""


def settings_in(section: str) -> list[Setting]:
    """Return the settings of a section, with their types, defaults and help.

    Args:
        section: one of `SECTIONS`.
    """
    if section != "model":
        return settings_of(DataConfig if section == "data" else TrainConfig)
    own = [setting for setting in settings_of(Architecture) if setting.name not in ("vocab_size", "side_inputs")]
    return [*own, *(setting for kind in SIDE_INPUTS.values() for setting in settings_of(kind))]


def section_of(setting: str) -> str | None:
    """Return the section of a setting, or None for an unknown one; ``vocab_size`` is in ``data``."""
    return next((section for section in ("data", "train", "model") if setting in _names(section)), None)


def all_settings() -> list[str]:
    """Return the names of all settings of a run."""
    return list(dict.fromkeys(name for section in SECTIONS for name in _names(section)))


def check_partial(section: str, values: Mapping[str, Any], where: object = "") -> None:
    """Check some settings of a section; required settings may be missing.

    Args:
        section: one of `SECTIONS`.
        values: settings by name; None counts as missing.
        where: the file or place the values come from, for the error message.

    Raises:
        ConfigError: an unknown name or an invalid value.
    """
    present = {name: value for name, value in values.items() if value is not None}
    if section == "model":
        Architecture.from_settings({"vocab_size": 1, **present}, where)
    else:
        parse(DataConfig if section == "data" else TrainConfig, present, where)


def _names(section: str) -> list[str]:
    return setting_names() if section == "model" else [setting.name for setting in settings_in(section)]
