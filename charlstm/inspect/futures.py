"""How a text can go on, in words: what each path of the fan of futures writes, and which words come next."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from charlstm.corpora.words import APOSTROPHES, find_words, is_letter
from charlstm.engine.protocol import TextModel
from charlstm.sampling.fan import FanNode, fan
from charlstm.sampling.position import prefill
from charlstm.sampling.prompts import banned_ids
from charlstm.tokenizers import Ids, Tokenizer


@dataclass(frozen=True)
class Futures:
    """The likely ways in which a text can go on."""

    text: str
    nodes: tuple[FanNode, ...]
    """See `sampling.fan.fan`."""
    labels: tuple[str, ...]
    """What each node adds to the text: nothing where its token ends inside a character."""

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """What is written from the end of the text to each node."""
        paths: list[str] = []
        for node, label in zip(self.nodes, self.labels, strict=True):
            paths.append(label if node.parent < 0 else paths[node.parent] + label)
        return tuple(paths)

    @cached_property
    def words(self) -> tuple[tuple[str, float], ...]:
        """Each word that may come next, or become of the one begun, with its probability, the likeliest first.

        It is the word of the first letter that is written. Paths that are left out may have the same words, so the
        probabilities are a little higher.
        """
        begun, words = _begun_word(self.text), dict[str, float]()
        is_over: list[bool] = []
        for node, path in zip(self.nodes, self.paths, strict=True):
            over = node.parent >= 0 and is_over[node.parent]
            if not over and path and not _may_be_within_word(path[-1]):
                found = find_words(begun + path if _may_be_within_word(path[0]) else path)
                over = bool(found)
                if found:
                    words[found[0]] = words.get(found[0], 0.0) + node.probability
            is_over.append(over)
        return tuple(sorted(words.items(), key=lambda word: -word[1]))


def futures_of(model: TextModel, text: str, ids: Sequence[int] | Ids, *, depth: int, least: float) -> Futures:
    """Find the likely ways in which a text can go on.

    Args:
        model: the network.
        text: the text.
        ids: what the network reads for it, at least one.
        depth: as `sampling.fan.fan`.
        least: as there.

    Returns:
        The ways; the unknown symbol is in none of them.

    Raises:
        UsageError: a number is out of range.
        CheckpointError: a logit is not finite.
    """
    nodes = fan(model, prefill(model, ids), depth=depth, least=least, banned=banned_ids(model.tokenizer))
    return Futures(text, tuple(nodes), tuple(labels_of(nodes, model.tokenizer)))


def labels_of(nodes: Sequence[FanNode], tokenizer: Tokenizer) -> list[str]:
    """Return what each node adds to the text: nothing where its token ends inside a character.

    Args:
        nodes: of a fan.
        tokenizer: the network's.
    """
    if tokenizer.kind == "char":
        return [tokenizer.decode((node.token,)) for node in nodes]
    labels, waiting = [], list[bytes]()
    for node in nodes:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        before = b"" if node.parent < 0 else waiting[node.parent]
        labels.append(decoder.decode(before + tokenizer.token_bytes(node.token)))
        waiting.append(decoder.getstate()[0])
    return labels


def _begun_word(text: str) -> str:
    """The letters at the end of a text, which may be the beginning of a word."""
    begin = len(text)
    while begin and _may_be_within_word(text[begin - 1]):
        begin -= 1
    return text[begin:]


def _may_be_within_word(character: str) -> bool:
    return is_letter(character) or character in APOSTROPHES
