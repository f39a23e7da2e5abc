"""Ways to go on, chosen one after the other: the same each time, and each the beginning of what is written on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from charlstm.checkpoint.writing import Writing
from charlstm.sampling import ways as module
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.position import prefill
from charlstm.sampling.sampler import sample
from charlstm.sampling.ways import Branches
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from tests.fake_models import Markov, random_markov

CONFIG = SampleConfig(length=400, seed=7)
MODEL = random_markov("abcdefg .\n", 3, spread=0.5)


def branches(rows: int = 3, config: SampleConfig = CONFIG, model: Any = MODEL, **more: Any) -> Branches:
    return Branches(model, Writing(), config, rows, **more)


def written(branches: Branches, text: str, path: tuple[int, ...], number: int) -> str:
    return "".join(fragment.text for fragment in branches.write_on(text, path, number))


@pytest.mark.parametrize("path", [(), (2,), (2, 1)])
def test_a_way_is_the_beginning_of_what_is_written_on_with_it(path: tuple[int, ...]) -> None:
    some = branches()
    ways = some.ways("ab", path)
    assert len({way.text for way in ways}) == 3
    for number, way in enumerate(ways, 1):
        whole = written(some, "ab", path, number)
        assert whole.startswith(way.text)
        assert len(whole) == 400


def test_the_same_choices_give_the_same_text_and_others_another() -> None:
    first = branches().text_of("ab", (2, 3, 1))
    assert branches().text_of("ab", (2, 3, 1)) == first
    assert branches().text_of("ab", (2, 3)) == first[: len(branches().text_of("ab", (2, 3)))]
    assert branches().text_of("ab", (2, 1, 1)) != first
    assert branches(config=SampleConfig(seed=8)).text_of("ab", (2, 3, 1)) != first
    assert branches().text_of("ab", ()) == ""


def test_the_ways_after_a_choice_follow_its_text() -> None:
    some = branches()
    chosen = some.ways("ab")[1].text
    after = some.ways("ab" + chosen, (2,))
    assert some.text_of("ab", (2, 3)) == chosen + after[2].text
    assert [way.text for way in after] != [way.text for way in some.ways("ab" + chosen)]  # other draws


def test_without_a_choice_they_are_what_the_sampler_draws() -> None:
    drawn = "".join(part.text for part in sample(MODEL, [0, 1], CONFIG, rows=1))
    assert written(branches(), "ab", (), 1) == drawn


def test_bits_are_those_of_the_network_itself() -> None:
    config = SampleConfig(seed=7, temperature=0.4, min_p=0.1)
    for way in branches(config=config).ways("ab"):
        position, nats = prefill(MODEL, [0, 1]), 0.0
        logits = position.logits
        for character in way.text:
            token = MODEL.tokenizer.encode(character)[0]
            row = logits[0] - np.logaddexp.reduce(logits[0])
            nats -= float(row[token])
            logits, _ = MODEL.step([token], None)
        assert way.bits_per_char == pytest.approx(nats / math.log(2) / len(way.text), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("This is a sentence of some length. Then the next one. ", "This is a sentence of some length."),
        ("Yes. No. And here is one that goes on. Then", "Yes. No. And here is one that goes on."),
        ('He said: "That is all there is!" And went', 'He said: "That is all there is!"'),
        ("It costs 3.14 of those units, I said? Yes", "It costs 3.14 of those units, I said?"),
        ("A line of verse without a full stop\nThen", "A line of verse without a full stop\n"),
        ("words without any end that go on and are cut with", "words without any end that go on and are cut"),
        ("x" * 160, "x" * 160),
        ("これは文です。" * 6, "これは文です。" * 5),
    ],
)  # fmt: skip
def test_a_way_ends_with_its_sentence_or_line_or_word(text: str, way: str) -> None:
    assert text[: module._end_of_way(text)] == way


def test_a_way_has_whole_characters_and_tokens() -> None:
    table = np.full((256, 256), -1e4)
    for before, after in zip(b"\xe6\xbc\xa2", b"\xbc\xa2\xe6", strict=True):
        table[before, after] = 0
    model = Markov(table, ByteTokenizer())
    for way in Branches(model, Writing(), CONFIG, 2).ways("漢"):
        assert set(way.text) <= {"漢"}
        assert len(way.fragments) == 3 * len(way.text)


def test_each_level_has_the_rule_after_its_own_text() -> None:
    asked = []

    def guide_after(text: str) -> None:
        asked.append(text)

    some = branches(guide_after=guide_after)
    some.text_of("ab", (1, 2))
    assert asked == ["ab", "ab" + some.ways("ab")[0].text, "ab"]


def test_other_ends_are_those_of_the_whole_text_only() -> None:
    stopped = branches(config=SampleConfig(length=400, seed=7, stop="a", lines=1))
    assert [way.text for way in stopped.ways("ab")] == [way.text for way in branches().ways("ab")]
    assert "a" not in written(stopped, "ab", (), 1)


def test_an_alphabet_without_blanks_has_ways_too() -> None:
    model = Markov(np.zeros((2, 2)), CharTokenizer("xy"))
    assert [len(way.text) for way in Branches(model, Writing(), CONFIG, 2).ways("x")] == [160, 160]
