"""From plain settings to the guides of texts: what may be set, what is kept, and what is told where nothing can be."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.known import KnownRecords
from charlstm.checkpoint.writing import Writing
from charlstm.corpora.words import find_words
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.cowriter import CoWriter
from charlstm.sampling.records import draw_records
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.sampler import sample
from charlstm.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer, train_sentencepiece
from tests.fake_models import Markov, random_markov
from tests.sampling.test_no_copy import assert_no_copy

SOURCE = "the owl and the cat went down to the sea, and sang.\nthe rook flew to a hat; the gull sat on it.\n" * 8
WORDS = tuple(find_words(SOURCE))


@cache
def tokenizer(kind: str) -> Tokenizer:
    if kind == "char":
        return CharTokenizer(sorted(set(SOURCE)), unknown=True)
    if kind == "byte":
        return ByteTokenizer()
    return train_sentencepiece.train(SOURCE.splitlines(), vocab_size=280)


@cache
def model(kind: str, seed: int = 0) -> Markov:
    size = tokenizer(kind).vocab_size
    return Markov(np.random.default_rng(seed).normal(size=(size, size)) * 2, tokenizer(kind))


def rules(kind: str = "char", record: str = "", **given: Any) -> Rules:
    return Rules(
        RuleSettings(**given),
        tokenizer(kind),
        own_words=WORDS,
        record=record,
        training_ids=lambda: tokenizer(kind).encode(SOURCE),
    )


def write(kind: str, made: Rules, prompt: str = "", seed: int = 0, **config: Any) -> str:
    ids = tokenizer(kind).encode(prompt)
    drawn = sample(
        model(kind, seed), ids, SampleConfig(**{"length": 40, "seed": seed, **config}),
        guide=made.after(prompt), particles=made.particles,
    )  # fmt: skip
    return "".join(fragment.text for fragment in drawn)


def assert_kept(text: str, prompt: str, given: dict[str, Any]) -> None:
    lines = text.split("\n")
    if given.get("match"):
        assert re.fullmatch(given["match"], text)
    if given.get("starts"):
        starts = [start.strip() for start in given["starts"].split(",")]
        assert [line.startswith(start) for line, start in zip(lines, starts, strict=False)] == [True] * len(starts)
        assert lines[len(starts) :] in ([], [""])
    if given.get("max_line"):
        begun = len(prompt.rpartition("\n")[2])
        assert all(len(line) <= given["max_line"] for line in lines[1:])
        assert len(lines[0]) + begun <= max(begun, given["max_line"])
    if given.get("words"):
        assert {word.lower() for word in find_words(prompt + text)[1:]} <= set(WORDS)
    if given.get("no_copy"):
        assert_no_copy(prompt, text, SOURCE, given["no_copy"])


@given(
    kind=st.sampled_from(["char", "byte", "sentencepiece"]),
    match=st.sampled_from([None, None, r"([a-z]+[ ,;.]{1,2}|\n)*", "[^a]{25}(.|\n)*", "(.|\n)*, and sang[.]"]),
    starts=st.sampled_from(["", "", "t,o,s", "the ,,and"]),
    max_line=st.sampled_from([0, 0, 12, 30]),
    words=st.booleans(),
    no_copy=st.sampled_from([0, 0, 20, 33]),
    prompt=st.sampled_from(["", "the owl", "the cat went down to the sea, and", "to\n"]),
    particles=st.sampled_from([1, 1, 3]),
    seed=st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_all_rules_that_are_set_are_kept(kind: str, prompt: str, seed: int, **given: Any) -> None:
    if (given["words"] and kind == "byte") or (given["no_copy"] and kind == "sentencepiece"):
        return
    if not any(value for name, value in given.items() if name != "particles"):
        return
    try:
        made = rules(kind, **given)
        text = write(kind, made, prompt, seed)
    except UsageError as fault:
        if "no text was found that keeps to" not in str(fault):  # some of these exclude each other
            raise
        return
    assert text
    assert_kept(text, prompt, given)


def test_what_excludes_each_other_is_told_with_the_place() -> None:
    for excluded, message in [
        ({"match": "the [dz]og", "words": True}, "`match` and `words` together: nothing can follow 'the do'"),
        ({"match": "[^\n]{30}", "max_line": 20}, "`match` and `max_line` together: nothing can follow '"),
        ({"starts": "a,t", "match": "[^\n]*"}, "`match` and `starts` together: nothing can follow 'a"),
        ({"match": "\n*", "starts": "a"}, "no text was found that keeps to `match` and `starts` together"),
        ({"match": "(|  the)", "starts": ","}, "`match` and `starts`"),
    ]:
        with pytest.raises(UsageError) as caught:
            rules(**excluded).after("")
        assert message in str(caught.value)
    with pytest.raises(UsageError, match="no text can follow here that keeps to `no_copy=20` and to the other rules"):
        rules(match="the owl and the cat went( down)?", no_copy=20).after("")
    with pytest.raises(UsageError, match="no text but the empty one keeps to `match` and `no_copy` together"):
        rules(match="(the owl and the cat went)?", no_copy=20).after("")
    with pytest.raises(UsageError, match="no text but the empty one keeps to `match` and `words` together"):
        rules(match="(to)?", words="the").after("")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"match": 5}, "`match=5` must be a regular expression"),
        ({"starts": ("a", "b\n")}, "must be texts of one line"),
        ({"starts": 7}, "`starts=7` must be texts, or one text that commas separate"),
        ({"max_line": -1}, "`max_line=-1` must be 0 (any number) to 1,000"),
        ({"max_line": 1001}, "must be 0 (any number) to 1,000"),
        ({"max_line": 2.5}, "`max_line=2.5` must be a whole number"),
        ({"words": 3}, "`words=3` must be True, a text or a list of words"),
        ({"words": ["a", None]}, "`words=['a', None]` must be True, a text or a list of words"),
        ({"words": b"ab"}, "`words=b'ab'` must be True, a text or a list of words"),
        ({"rhyme": "no"}, "`rhyme='no'` must be True or False"),
        ({"no_copy": 19}, "`no_copy=19` must be 20 or more, or 0 (off)"),
        ({"match": "a", "particles": 0}, "`particles=0` must be 1 (off) to 1,000"),
        ({"particles": 4}, "`particles=4` is for a text under a rule. Set `match`, "),
    ],
)
def test_a_wrong_value_is_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        RuleSettings(**given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("char", {"starts": "a,öl"}, "line 2 of starts: character 'ö' (U+00F6) at position 0 is not in the alphabet"),
        ("char", {"match": "a[öü]"}, "match: no character of [öü], at position 1, is in the alphabet"),
        ("char", {"words": "ÖL"}, "the list of words has none in letters that this model knows"),
        ("char", {"words": ()}, "the list of words has none"),
        ("char", {"words": ["", "\n", "!"]}, "the list of words has none"),
        ("byte", {"words": True}, "words cannot be kept to by a network of bytes"),
        ("sentencepiece", {"no_copy": 40}, "a network of pieces of words cannot keep to `no_copy`"),
        ("byte", {"rhyme": True}, "`rhyme` is for a network of characters"),
        ("sentencepiece", {"rhyme": True}, "`rhyme` is for a network of characters"),
    ],
)
def test_what_a_network_cannot_keep_is_one_line(kind: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules(kind, **given)
    assert message in str(caught.value)


@pytest.mark.parametrize("given", [{"max_line": 5}, {"starts": "a,b"}, {"rhyme": True}])
def test_without_a_newline_there_are_no_lines(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot be kept: this model has no newline in its alphabet"):
        Rules(RuleSettings(**given), CharTokenizer("abc"), own_words=("cab",))
    with pytest.raises(UsageError, match="knows no words that could rhyme"):
        Rules(RuleSettings(rhyme=True), CharTokenizer("abc\n"))


def test_no_copy_needs_the_training_text_and_reads_it_only_then() -> None:
    with pytest.raises(UsageError, match="`no_copy=40` must be 0 where the training text is unknown"):
        Rules(RuleSettings(no_copy=40), tokenizer("char"))

    def never() -> Any:
        raise AssertionError

    Rules(RuleSettings(max_line=9), tokenizer("char"), training_ids=never)


def test_settings_as_they_are_typed() -> None:
    assert RuleSettings(starts=" a, b c ,,d").starts == ("a", "b c", "", "d")
    assert RuleSettings(starts=["a,b", " c"]).starts == ("a,b", " c")  # type: ignore[arg-type]
    assert RuleSettings(starts="").given == ()
    assert RuleSettings(match="", max_line=3, words="a").given == ("match", "max_line", "words")
    text, listed = rules(words="the owl sat"), rules(words=["owl", "sat", "the"])
    assert write("char", text, "the ") == write("char", listed, "the ")
    phrases = rules(words=["the owl", "\nsat!", ""])
    assert write("char", text, "the ") == write("char", phrases, "the ")
    assert set(find_words(write("char", text, "the "))) <= {"the", "owl", "sat"}


@pytest.mark.parametrize(("match", "starts"), [("[a-h]{3,7}", ""), (None, "t"), ("t[^\n]*", "the")])
def test_a_record_matches_without_its_end(match: str | None, starts: str) -> None:
    made = rules(record="\n", match=match, starts=starts)
    writing = Writing(record="\n", longest_record=20)
    config = SampleConfig(length=30, seed=1, stop=("\n",))
    drawn = list(draw_records(model("char"), writing, KnownRecords(), config, 8, guide=made.after("")))
    assert len(drawn) == 8
    for record in drawn:
        assert re.fullmatch(match or ".*", record.text)
        assert record.text.startswith(starts)


def test_a_co_writer_keeps_lines_short_in_every_piece() -> None:
    made = rules(max_line=15, words=True)
    co = CoWriter(model("char", 2), SampleConfig(length=30, seed=1), guide_after=made.after)
    co.add("the owl and the cat went down\nto the")
    for _ in range(4):
        list(co.extend())
    assert all(len(line) <= 15 for line in co.text.split("\n")[1:])
    assert set(find_words(co.text)) <= {*WORDS, *(word.capitalize() for word in WORDS)}
    assert len(co.text) > 120


def test_a_text_is_over_where_nothing_may_follow() -> None:
    fragments = list(sample(
        random_markov("ab\n"), [0], SampleConfig(length=50, seed=1),
        guide=Rules(RuleSettings(match="(a|bb){2}"), CharTokenizer("ab\n")).after(""), rows=5,
    ))  # fmt: skip
    ends = [each for each in fragments if each.finish_reason]
    assert [end.finish_reason for end in ends] == ["rule"] * 5
    rows = ["".join(each.text for each in fragments if each.row == row) for row in range(5)]
    assert all(re.fullmatch("(a|bb){2}", row) for row in rows)


def test_as_many_particles_as_the_rules_need() -> None:
    assert (
        rules(max_line=20).particles == rules(starts="t", words=True).particles == rules(match="the .*").particles == 8
    )
    assert rules(words=True).particles == rules(max_line=20, particles=1).particles == 1
    assert rules(words=True, particles=3).particles == 3
    for wrong in (0, 1001, 1.5):
        with pytest.raises(UsageError, match="particles"):
            RuleSettings(max_line=20, particles=wrong)  # type: ignore[arg-type]
