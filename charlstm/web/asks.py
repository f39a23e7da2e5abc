"""What can be asked for: the fields of each request, with their types and ranges."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from charlstm.errors import UsageError
from charlstm.schemas import Schema, parse

LONGEST = 5000
"""Tokens that one request may draw."""
MOST_CHARACTERS = 65_536
"""Of a text, or of all prompts together."""

Text = Annotated[str, Meta(max_length=MOST_CHARACTERS)]
Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Stop = Annotated[str, Meta(min_length=1, max_length=1000)]
Stops = Annotated[tuple[Stop, ...], Meta(max_length=16)]
Length = Annotated[int, Meta(ge=0, le=LONGEST)]


class Share(Schema, frozen=True, kw_only=True):
    """A network of a mix."""

    model: str
    weight: Annotated[float, Meta(ge=0, le=1e6)]


class Which(Schema, frozen=True, kw_only=True):
    """A network, or a mix of several."""

    model: str | None = None
    mix: Annotated[tuple[Share, ...], Meta(min_length=1, max_length=4)] | None = None


class Score(Which, frozen=True, kw_only=True):
    """`/api/score`."""

    text: Text
    begin: Annotated[int, Meta(ge=0)] = msgspec.field(default=0, name="from")
    """The character from which on tokens are told."""


class Draws(Which, frozen=True, kw_only=True):
    """How text is drawn; None is what is stored with the network, or off."""

    temperature: float | None = None
    top_k: Count | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=1000)] | None = None
    no_repeat: Count | None = None
    longest_run: Count | None = None
    lines: Count | None = None
    seed: int | None = None
    match: Annotated[str, Meta(max_length=2000)] | None = None
    starts: str | tuple[str, ...] | None = None
    max_line: Count | None = None
    words: bool | str | tuple[str, ...] | None = None
    no_copy: Count | None = None
    rhyme: bool | None = None
    particles: Annotated[int, Meta(ge=1, le=64)] | None = None

    def settings(self) -> dict[str, Any]:
        """Those of `sampling.config.SampleConfig` that are given, by name."""
        given = {name: getattr(self, name) for name in _SETTINGS}
        return {name: value for name, value in given.items() if value is not None}


_SETTINGS = (
    "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "no_repeat", "longest_run", "lines", "seed",
)  # fmt: skip


class Held(Schema, frozen=True, kw_only=True):
    """A unit that is held while text is drawn."""

    stack: str = "layers"
    layer: Annotated[int, Meta(ge=0)]
    part: str
    unit: Annotated[int, Meta(ge=0)]
    value: Annotated[float, Meta(ge=-1e6, le=1e6)]


class Generate(Draws, frozen=True, kw_only=True):
    """`/api/generate`."""

    text: Text = ""
    rows: Annotated[int, Meta(ge=1, le=4)] = 1
    length: Annotated[int, Meta(ge=1, le=LONGEST)] = 200
    stop: Stops = ()
    hold: Held | None = None
    speed: Annotated[float, Meta(ge=0.1, le=1e6)] | None = None
    """Tokens a second, at most; None is as fast as it goes."""


class Fan(Which, frozen=True, kw_only=True):
    """`/api/fan`."""

    text: Text = ""
    depth: Annotated[int, Meta(ge=1, le=100)] = 24
    least: Annotated[float, Meta(ge=1e-6, le=1)] = 0.002
    most: Annotated[int, Meta(ge=1, le=20_000)] = 2000


class Trace(Schema, frozen=True, kw_only=True):
    """`/api/trace`."""

    model: str | None = None
    text: Text
    begin: Annotated[int, Meta(ge=0)] = msgspec.field(default=0, name="from")
    end: Annotated[int, Meta(ge=1)] = msgspec.field(name="to")
    stack: str = "layers"
    layer: Annotated[int, Meta(ge=0)] = 0


class Fill(Schema, frozen=True, kw_only=True):
    """`/api/fill`."""

    model: str | None = None
    text: Text
    count: Annotated[int, Meta(ge=1, le=20)] = 3
    temperature: float = 0.0
    candidates: Annotated[int, Meta(ge=1, le=200)] = 100
    newlines: bool = False
    seed: int | None = None


class Units(Schema, frozen=True, kw_only=True):
    """`/api/units`."""

    model: str | None = None


Prompt = str | Annotated[tuple[str | int | tuple[int, ...], ...], Meta(max_length=MOST_CHARACTERS)]


class StreamOptions(Schema, frozen=True, kw_only=True):
    """What OpenAI's clients ask of a stream."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Completion(Draws, frozen=True, kw_only=True):
    """`/v1/completions`, as OpenAI's clients send it, and the settings of `Draws`."""

    prompt: Prompt | None = None
    suffix: Text | None = None
    max_tokens: Length | None = None
    n: Annotated[int, Meta(ge=1, le=20)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    stop: Stop | Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    user: str | None = None
    unknown: Literal["error", "skip", "map"] | None = None
    """What happens to characters outside the alphabet, as in `sampling.prompts.fit_prompt`."""


A = TypeVar("A", bound=Schema)


def read(kind: type[A], body: bytes) -> A:
    """Read the body of a request.

    Args:
        kind: what is asked for.
        body: JSON.

    Returns:
        The request.

    Raises:
        UsageError: it is no JSON, or a field is unknown, missing, of the wrong type or out of range.
    """
    try:
        fields = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
        json.dumps(fields, ensure_ascii=False).encode()  # complains of halves of surrogate pairs
    except (ValueError, RecursionError) as fault:
        raise UsageError(f"the body is not JSON: {fault!s:.200}") from fault
    if not isinstance(fields, dict):
        raise UsageError("the body has to be a JSON object")
    return parse(kind, fields)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
