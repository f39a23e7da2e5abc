"""The fan of futures in words: what its paths write, and which words come next."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.inspect.futures import Futures, futures_of, labels_of
from charlstm.sampling.fan import FanNode, fan
from charlstm.sampling.position import prefill
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from charlstm.tokenizers.train_sentencepiece import train
from tests.fake_models import Markov, cycle, random_markov


def chain(tokens):
    """One path of these tokens."""
    return [FanNode(place - 1, token, 0.9**place) for place, token in enumerate(tokens)]


def futures(text, *paths):
    """A fan of whole paths, each given with its probability; what two begin alike is one node."""
    nodes, labels, known = [], [], {"": -1}
    for path, probability in paths:
        for place, character in enumerate(path, 1):
            if path[:place] not in known:
                known[path[:place]] = len(nodes)
                nodes.append(FanNode(known[path[: place - 1]], 0, probability))
                labels.append(character)
    return Futures(text, tuple(nodes), tuple(labels))


def test_the_paths_are_what_is_written_to_each_node():
    model = random_markov("abc ", 2)
    found = futures_of(model, "ab", [0, 1], depth=3, least=0.02)
    assert list(found.nodes) == fan(model, prefill(model, [0, 1]), depth=3, least=0.02)
    assert len(found.nodes) > 10
    for node, path in zip(found.nodes, found.paths, strict=True):
        before = "" if node.parent < 0 else found.paths[node.parent]
        assert path == before + "abc "[node.token]


def test_the_unknown_symbol_is_in_no_path():
    model = Markov(np.zeros((3, 3)), CharTokenizer("ab", unknown=True))
    assert set("".join(futures_of(model, "a", [0], depth=3, least=0.01).paths)) == {"a", "b"}


@pytest.mark.parametrize("text", ["añ漢😀.", "plain"])
def test_a_character_of_several_bytes_is_added_by_its_last_one(text):
    nodes = chain(text.encode())
    labels = labels_of(nodes, ByteTokenizer())
    assert "".join(labels) == text
    sizes = [len(character.encode()) for character in text]
    assert labels == [
        label for character, size in zip(text, sizes, strict=True) for label in [""] * (size - 1) + [character]
    ]


def test_bytes_that_are_no_characters_are_shown_as_such():
    assert labels_of(chain(b"\xffa\xc3b"), ByteTokenizer()) == ["\ufffd", "a", "", "\ufffdb"]


def test_subwords_are_labels_of_several_characters():
    tokenizer = train(["the owl sang the song"] * 30, model="bpe")
    ids = tokenizer.encode("the owl 漢").tolist()
    labels = labels_of(chain(ids), tokenizer)
    assert "".join(labels) == "the owl 漢"
    assert max(map(len, labels)) > 1


@pytest.mark.parametrize(
    ("text", "paths", "words"),
    [
        ("It ", [("was ", 0.5), ("wasn't ", 0.1), ("is,", 0.25)], [("was", 0.5), ("is", 0.25), ("wasn't", 0.1)]),
        ("It ", [("was ", 0.5), ("was,", 0.25)], [("was", 0.75)]),
        ("a th", [("ing ", 0.5), ("e old ", 0.25)], [("thing", 0.5), ("the", 0.25)]),
        (
            "It was",
            [(" out ", 0.5), ("h ", 0.125), ("n't so ", 0.25)],
            [("out", 0.5), ("wasn't", 0.25), ("wash", 0.125)],
        ),
        ("said: ", [('"Oh! Ah!', 0.5), ("'Oh' ", 0.25)], [("Oh", 0.75)]),
        ("don't", [(" ", 0.5), ("s.", 0.25)], [("don'ts", 0.25)]),
        ("1", [("23 456 ", 0.5)], []),
        ("", [("Ada\n", 0.5), ("Bo", 0.25)], [("Ada", 0.5)]),
    ],
)
def test_the_next_word_is_that_of_the_first_letter_written(text, paths, words):
    assert futures(text, *paths).words == tuple(words)


def test_the_words_of_a_network_that_is_all_but_sure():
    model = cycle("the ,")
    found = futures_of(model, "t", model.tokenizer.encode("t"), depth=6, least=0.5)
    assert found.words == (("the", pytest.approx(1)),)
    assert found.paths[-1] == "he ,th"
