"""What a network is: one description that the torch model, the NumPy engine, checks, plan and exporters read."""

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
    """The shape of a network: embedding → recurrent layers → softmax over the vocabulary.

    Create one with `from_settings`, which checks it. It is written down flat: the settings of side inputs stand beside
    its own, under their own names.
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
        int, Meta(ge=0, le=1 << 16, description="Past hidden states of the top layer to attend to; 0: no attention.")
    ] = 0
    skip_connections: Annotated[
        bool, Meta(description="Every layer reads the embedding, and the softmax reads every layer (Graves 2013).")
    ] = False
    dropout: Annotated[Fraction, Meta(description="Share of each layer's output dropped in training.")] = 0.0
    weight_drop: Annotated[
        Fraction, Meta(description="DropConnect: share of recurrent weights dropped in training.")
    ] = 0.0
    side_inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    """All of `SIDE_INPUTS`, by name, enabled or not."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], where: object = "") -> Architecture:
        """Check settings and make an architecture of them.

        Args:
            settings: by name, flat; what is missing takes its default.
            where: where they come from, for the message.

        Raises:
            ConfigError: a setting that there is not, that cannot be, or that excludes another.
        """
        names = setting_names()
        strange = [name for name in settings if name not in names]
        if strange:
            raise ConfigError(no_such_setting(strange[0], names), where=where)
        sides: dict[str, SideInput] = {}
        for name, kind in SIDE_INPUTS.items():
            own = {field: settings[field] for field in kind.__struct_fields__ if field in settings}
            sides[name] = parse(kind, own, where)
        own = {field: settings[field] for field in cls.__struct_fields__ if field in settings}
        found = msgspec.structs.replace(parse(cls, own, where), side_inputs=sides)
        found._check_together(where)
        return found

    def _check_together(self, where: object) -> None:
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
        """The flat settings of which `from_settings` makes this architecture again, ready for JSON."""
        plain = {name: value for name, value in to_plain(self).items() if name != "side_inputs"}
        for side in self.side_inputs.values():
            plain |= to_plain(side)
        return plain

    def replace(self, **changes: Any) -> Architecture:
        """The same with some settings changed, and checked."""
        return Architecture.from_settings({**self.settings(), **changes})

    @property
    def enabled(self) -> dict[str, SideInput]:
        """The side inputs that the network has."""
        return {name: side for name, side in self.side_inputs.items() if side.enabled}

    @property
    def history(self) -> int:
        """How many of the last tokens the side inputs look at; 0 if there are none."""
        return max((side.history for side in self.enabled.values()), default=0)

    @property
    def stacks(self) -> tuple[str, ...]:
        """The prefix of each stack's tensors: one stack, or one for each member of an ensemble or each direction."""
        if self.bidirectional:
            return ("layers", "backwards")
        return ("layers", *(f"layers_{member}" for member in range(2, self.ensemble + 1)))

    @property
    def input_sizes(self) -> list[int]:
        """How many features each layer of a stack reads."""
        above = self.hidden_size + (self.embedding_size if self.skip_connections else 0)
        return [self.embedding_size, *[above] * (self.num_layers - 1)]


def setting_names() -> list[str]:
    """The names of all settings of an architecture, those of side inputs among them."""
    return [setting for kind in _schemas() for setting in kind.__struct_fields__ if setting != "side_inputs"]


def _schemas() -> Iterator[type[Schema]]:
    yield Architecture
    yield from SIDE_INPUTS.values()
