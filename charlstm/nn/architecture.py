"""The architecture of a network: the one description that the model, the engine, the checks and the plan all read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.nn.side_inputs.base import SideInput
from charlstm.schemas import Fraction, Schema, no_such_setting, parse, to_plain

Cell = Literal["rnn", "lstm", "gru", "peephole"]


class Architecture(Schema, frozen=True, kw_only=True):
    """The architecture of a network: embedding → recurrent layers → softmax over the vocabulary.

    Create one with `from_settings`, which checks it. Its settings are stored flat: those of the side inputs stand next
    to its own, under their own names.
    """

    vocab_size: Annotated[int, Meta(ge=1, le=1 << 21, description="The number of different tokens.")]
    embedding_size: Annotated[int, Meta(ge=1, le=1 << 16, description="Features of each token's embedding.")] = 64
    hidden_size: Annotated[
        int, Meta(ge=1, le=1 << 16, description="Units per layer: more learn more, but more slowly.")
    ] = 256
    num_layers: Annotated[int, Meta(ge=1, le=256, description="Recurrent layers, stacked.")] = 2
    cell: Annotated[
        Cell, Meta(description="Cell: lstm, gru, peephole (an LSTM whose gates read its cell state) or rnn.")
    ] = "lstm"
    ensemble: Annotated[
        int, Meta(ge=1, le=16, description="Networks trained separately, side by side; their logits are averaged.")
    ] = 1
    bidirectional: Annotated[
        bool, Meta(description="Read in both directions: for filling blanks; it cannot generate text.")
    ] = False
    attention_window: Annotated[
        int, Meta(ge=0, le=4096, description="Past hidden states of the top layer to attend to; 0: no attention.")
    ] = 0
    skip_connections: Annotated[
        bool, Meta(description="Every layer reads the embedding, and the softmax reads every layer (Graves 2013).")
    ] = False
    dropout: Annotated[Fraction, Meta(description="Share of each layer's output dropped in training.")] = 0.0
    weight_drop: Annotated[
        Fraction, Meta(description="DropConnect: share of recurrent weights dropped in training.")
    ] = 0.0
    side_inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    """The settings of every side input in `SIDE_INPUTS`, by its name, whether it is enabled or not."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], where: object = "") -> Architecture:
        """Check settings and create an architecture from them.

        Args:
            settings: flat, by name; a missing setting takes its default.
            where: the file or place the settings come from, for the error message.

        Returns:
            The architecture.

        Raises:
            ConfigError: a setting does not exist, is out of range, or excludes another one.
        """
        names = setting_names()
        unknown = [name for name in settings if name not in names]
        if unknown:
            raise ConfigError(no_such_setting(unknown[0], names), where=where)
        sides: dict[str, SideInput] = {}
        for name, kind in SIDE_INPUTS.items():
            own = {field: settings[field] for field in kind.__struct_fields__ if field in settings}
            sides[name] = parse(kind, own, where)
        own = {field: settings[field] for field in cls.__struct_fields__ if field in settings}
        architecture = msgspec.structs.replace(parse(cls, own, where), side_inputs=sides)
        architecture._check_exclusions(where)
        return architecture

    def _check_exclusions(self, where: object) -> None:
        pairs = [
            (self.bidirectional and self.attention_window, "attention_window", "attention looks back only"),
            (self.bidirectional and self.ensemble > 1, "ensemble", "only causal networks are averaged"),
        ]
        for side in self.enabled.values():
            setting = side.__struct_fields__[0]
            pairs.append((self.bidirectional, setting, "side inputs know only what was read before"))
        for excluded, setting, reason in pairs:
            if excluded:
                raise ConfigError(f"`bidirectional` and `{setting}` exclude each other: {reason}", where=where)
        if self.attention_window and self.ensemble > 1:
            reason = "only networks without attention are averaged"
            raise ConfigError(f"`attention_window` and `ensemble` exclude each other: {reason}", where=where)

    def settings(self) -> dict[str, Any]:
        """Return the flat settings, ready for JSON: `from_settings` creates this architecture from them."""
        plain = {name: value for name, value in to_plain(self).items() if name != "side_inputs"}
        for side in self.side_inputs.values():
            plain |= to_plain(side)
        return plain

    def replace(self, **changes: Any) -> Architecture:
        """Return a copy with some settings changed and everything checked again."""
        return Architecture.from_settings({**self.settings(), **changes})

    @property
    def enabled(self) -> dict[str, SideInput]:
        """The enabled side inputs, by name."""
        return {name: side for name, side in self.side_inputs.items() if side.enabled}

    @property
    def history(self) -> int:
        """N: the number of recent tokens that the side inputs need; 0 without side inputs."""
        return max((side.history for side in self.enabled.values()), default=0)

    @property
    def reach(self) -> int:
        """The number of tokens back to which what the side inputs know of a text goes; 0 without side inputs."""
        return max((side.reach for side in self.enabled.values()), default=0)

    @property
    def stacks(self) -> tuple[str, ...]:
        """The tensor prefix of each stack of layers: one stack, or one per member of an ensemble or per direction."""
        if self.bidirectional:
            return ("layers", "backwards")
        return ("layers", *(f"layers_{member}" for member in range(2, self.ensemble + 1)))

    @property
    def input_sizes(self) -> list[int]:
        """D of each layer of a stack, from the lowest to the top."""
        above = self.hidden_size + (self.embedding_size if self.skip_connections else 0)
        return [self.embedding_size, *[above] * (self.num_layers - 1)]


def setting_names() -> list[str]:
    """Return the names of all settings of an architecture, including those of the side inputs."""
    return [setting for kind in _schemas() for setting in kind.__struct_fields__ if setting != "side_inputs"]


def _schemas() -> Iterator[type[Schema]]:
    yield Architecture
    yield from SIDE_INPUTS.values()
