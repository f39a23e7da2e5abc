"""The networks that a server has: found by name, alone or as a mix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from charlstm.checkpoint.format import Checkpoint
from charlstm.checkpoint.writing import Writing
from charlstm.engine.bidirectional import BidirectionalEngine
from charlstm.engine.network import Engine
from charlstm.engine.protocol import TextModel
from charlstm.errors import IncompatibleError, NotFoundError, UsageError
from charlstm.sampling.first_text import first_text
from charlstm.sampling.rules.from_settings import RuleSettings
from charlstm.tokenizers import Ids
from charlstm.web.asks import Draws, Which

if TYPE_CHECKING:
    from charlstm.nn.model import CharLM


@dataclass(frozen=True, eq=False)
class Served:
    """A network that can be asked for."""

    id: str
    checkpoint: Checkpoint
    engine: Engine | BidirectionalEngine
    own_text: Callable[[], str] = str
    """Reads the text whose units are looked for."""
    training_ids: Callable[[], Ids] | None = None
    """Reads the text that it was trained on."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while its units are looked for."""

    @property
    def fingerprint(self) -> str:
        """What with a seed decides on a text: the weights, and how they are computed with."""
        in_int8 = isinstance(self.engine, Engine) and self.engine.precision == "int8"
        return self.checkpoint.sha256[:12] + "-int8" * in_int8

    @cached_property
    def torch_model(self) -> CharLM:
        """The network in torch, to be looked into."""
        from charlstm.engine.load import torch_model

        return torch_model(self.checkpoint)

    def describe(self) -> dict[str, Any]:
        """What `/api/models` says of it."""
        tokenizer, writing = self.engine.tokenizer, self.checkpoint.writing
        own = ("temperature", "top_p", "min_p", "no_repeat", "longest_run", "record")
        return {
            "id": self.id,
            "name": self.checkpoint.run.name,
            "kind": tokenizer.kind,
            "bidirectional": self.checkpoint.architecture.bidirectional,
            "vocabulary": vocabulary(self.engine),
            "unknown": tokenizer.unknown_id,
            "architecture": self.checkpoint.run.to_plain()["model"],
            "bits_per_char": self.checkpoint.provenance.bits_per_char,
            "writing": {name: getattr(writing, name) for name in own},
            "opening": writing.opening,
            "written": self._written,
            "rules": self._rules(),
        }

    @cached_property
    def _written(self) -> str:
        return "" if isinstance(self.engine, BidirectionalEngine) else first_text(self.engine, self.checkpoint.writing)

    def _rules(self) -> list[str]:
        """The rules that its texts can keep to, by the names of a request's fields."""
        kind, writing, has_words = self.engine.tokenizer.kind, self.checkpoint.writing, bool(self.checkpoint.words)
        able = {
            "words": has_words and kind != "byte",
            "rhyme": has_words and kind == "char" and not writing.record,
            "no_copy": self.training_ids is not None,
        }
        if self.checkpoint.architecture.bidirectional:
            return []
        names = (each.name for each in fields(RuleSettings))
        return [name for name in names if name in Draws.__struct_fields__ and able.get(name, True)]


def vocabulary(model: TextModel | BidirectionalEngine) -> list[str]:
    r"""The text of each id of a network; of a byte that is no character by itself ``\xNN``.

    Args:
        model: anything with a tokenizer.
    """
    return [token_name(model, token) for token in range(model.vocab_size)]


def token_name(model: TextModel | BidirectionalEngine, token: int, kind: str = "") -> str:
    r"""The text of one id; of a byte that is no character by itself ``\xNN``.

    Args:
        model: anything with a tokenizer.
        token: the id.
        kind: what stands before bytes.
    """
    data = model.tokenizer.token_bytes(token)
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return kind + "".join(f"\\x{byte:02x}" for byte in data)


@dataclass(frozen=True)
class Network:
    """What one request computes with; equal to another of the same networks, whatever their weights in a mix."""

    key: bytes
    """Distinguishes the networks in it from all others."""
    model: TextModel = field(compare=False)
    writing: Writing = field(compare=False)
    """How it writes unless it is told otherwise."""
    words: tuple[str, ...] = field(compare=False)
    """The words of its training text."""
    training_ids: Callable[[], Ids] | None = field(default=None, compare=False)
    """Reads its training text; None of a mix."""


class Library:
    """The networks of a server.

    Args:
        models: the networks; the first is the default.
    """

    def __init__(self, models: Sequence[Served]) -> None:
        self.models: Mapping[str, Served] = {each.id: each for each in models}
        self.default = models[0].id

    def find(self, name: str | None) -> Served:
        """Find a network.

        Args:
            name: its id; None is the default.

        Returns:
            The network.

        Raises:
            NotFoundError: there is none of that name.
        """
        found = self.models.get(self.default if name is None else name)
        if found is None:
            raise NotFoundError(f"`model={name!r:.60}` is not served", hint=f"These are: {', '.join(self.models)}.")
        return found

    def network(self, asked: Which) -> Network:
        """Find the causal network of a request, or make its mix.

        Args:
            asked: what was asked for.

        Returns:
            The network.

        Raises:
            NotFoundError: there is none of that name.
            IncompatibleError: it has to be a causal one.
            UsageError: both a network and a mix are given.
        """
        if asked.mix is None:
            served = self.find(asked.model)
            saved = served.checkpoint
            return Network(served.id.encode(), _causal(served), saved.writing, saved.words, served.training_ids)
        if asked.model is not None:
            raise UsageError("`mix` and `model` exclude each other")
        from charlstm.engine.mix import MixedEngine

        parts = [(self.find(share.model), share.weight) for share in asked.mix]
        mixed = MixedEngine([(_causal(served), weight) for served, weight in parts])
        writing = Writing.mixed([(served.checkpoint.writing, weight) for served, weight in parts])
        words = [served.checkpoint.words for served, _ in parts]
        together = tuple(sorted(set().union(*words))) if all(words) else ()
        return Network("\n".join(served.id for served, _ in parts).encode(), mixed, writing, together)


def _causal(served: Served) -> Engine:
    if isinstance(served.engine, BidirectionalEngine):
        what = "a network that reads both ways has no next token, so it cannot write"
        raise IncompatibleError(what, where=served.id, hint="It fills blanks.")
    return served.engine
