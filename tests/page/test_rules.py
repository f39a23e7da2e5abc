"""The rules in JavaScript: after any text they allow what they allow in Python, and what is written keeps to them."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.format import write
from charlstm.checkpoint.writing import Writing
from charlstm.corpora.words import find_words
from charlstm.errors import UsageError
from charlstm.sampling.guides import NEVER
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.tokenizers import ByteTokenizer, CharTokenizer
from charlstm.tokenizers.train_sentencepiece import train
from tests.page.browser import network
from tests.page.node import evaluate, needs_node
from tests.page.test_text import CORPUS
from tests.sampling.test_match import PATTERNS

pytestmark = needs_node

WORDS = ("a", "and", "be", "bed", "Ted", "don't", "Dé", "NATO", "to", "two", "cat", "l'été", "ǆ")
CHARACTERS = CharTokenizer("\n abcdeijnotuvwxABDNOT.,'’1-é😀", unknown=True)
PIECES = train([CORPUS], model="unigram", vocab_size=400)
NETWORKS = {"char": CHARACTERS, "byte": ByteTokenizer(), "sentencepiece": PIECES}

AFTER = """
const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
const { Rules } = await import(`${page}/engine/rules/rules.js`);
const tokenizers = given.tokenizers.map(tokenizerOf);
const result = (work) => { for (;;) { const { value, done } = work.next(); if (done) return value; } };
console.log(JSON.stringify(given.cases.map(({ tokenizer, settings, record, text, tokens }) => {
  try {
    const rules = new Rules(settings, tokenizers[tokenizer], given.words, record);
    let guide = result(rules.after(text));
    const steps = [guide];
    for (const token of tokens) steps.push(guide = guide.advance(token));
    return steps.map((each) => [each.mayEnd(), [...each.distances()].map((far) => far === Infinity ? null : far)]);
  } catch (fault) { return fault.message; }
})));
"""


def case(kind: str, given: dict[str, Any], text: str = "", *, record: str = "", steps: int = 30, seed: int = 0):
    """A walk through what some rules allow: the tokens taken, and what Python says at each of them."""
    tokenizer, random = NETWORKS[kind], np.random.default_rng(seed)
    asked = {"tokenizer": list(NETWORKS).index(kind), "settings": given, "record": record, "text": text, "tokens": []}
    try:
        guide = Rules(RuleSettings(**given), tokenizer, own_words=WORDS, record=record).after(text)
    except UsageError as fault:
        return asked, str(fault)
    told = []
    while True:
        distances = np.where(guide.allowed(), guide.distances(), NEVER)
        told.append([guide.may_end(), [None if far >= NEVER else far for far in distances.tolist()]])
        allowed = np.flatnonzero(guide.allowed())
        if not len(allowed) or len(asked["tokens"]) == steps:
            return asked, told
        asked["tokens"].append(int(random.choice(allowed)))
        guide = guide.advance(asked["tokens"][-1])


def check(cases) -> None:
    """Let JavaScript walk the same ways, and compare."""
    states = [each.to_state() for each in NETWORKS.values()]
    ours = evaluate(AFTER, {"tokenizers": states, "words": WORDS, "cases": [asked for asked, _ in cases]})
    for (asked, told), answer in zip(cases, ours, strict=True):
        if isinstance(told, str):  # without the nearest character, which is found by its name
            assert answer == told.split(". The nearest known")[0], asked
            continue
        if len(asked["settings"]) > 1:  # how far an end is may be known better or worse
            answer, told = ([[end, [far is None for far in row]] for end, row in each] for each in (answer, told))
        assert answer == told, asked


@pytest.mark.slow
@given(patterns=st.lists(PATTERNS, min_size=30, max_size=30), seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
@example(patterns=["(?:a|a1)(?:1b|b)", "(?:a*)*b", "^a$|b|^1", r"\A(?P<name>a*)b{2}\Z", "[^é]{3}", ".{2}"], seed=0)
def test_expressions_allow_what_they_allow_in_python(patterns, seed):
    # In bytes all of Unicode can be written, and Node may know letters and digits that this Python does not know yet.
    kinds = [
        (each, kind)
        for each in patterns
        for kind in NETWORKS
        if kind == "char" or not re.search(r"\\[dws]", each, re.I)
    ]
    check([case(kind, {"match": each}, steps=8, seed=seed) for each, kind in kinds])


RULES = [
    {"match": r"[a-z ]{10}\."},
    {"match": r"(?:Ted|a cat)(?: and (?:Ted|a cat)){0,3}\."},
    {"match": "[^\n]{3,}\n(\\w+ )+1"},
    {"starts": "To, an,,b.(x"},
    {"starts": ["Dé", "x"], "max_line": 9},
    {"max_line": 7},
    {"max_line": 1000},
    {"words": True},
    {"words": True, "max_line": 5},
    {"words": True, "starts": "T,a"},
    {"words": True, "match": "[a-z ]{7}\\."},
    {"words": ["cat", "don't", "bé"], "max_line": 5},
    {"words": "A cat, a bed -- don't! zz"},
    {"words": ["a cat", "bed,\nbé", ""]},
    {"words": True, "match": r"\w+", "max_line": 2},
    {"words": True, "starts": "to,and", "max_line": 6, "match": r"[a-z\n ]*"},
]


@pytest.mark.parametrize(
    "kind", ["char", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("byte", "sentencepiece"))]
)
def test_rules_together_allow_what_they_allow_in_python(kind):
    texts = ["", "to", "a xx be", "\n'Te", "Anno\nNATO don", "a bed, 'tw’"]
    given = [rules for rules in RULES if kind != "byte" or "words" not in rules]
    assert given
    texts, steps = (texts, 40) if kind == "char" else (texts[:3], 12)
    check([case(kind, each, text, steps=steps, seed=len(text)) for each in given for text in texts])


def test_a_record_ends_what_matches():
    names = [{"match": "[abe]{2,4}"}, {"starts": "a"}, {"match": "[a-z]+", "words": True}]
    check([case("char", each, text, record="\n") for each in names for text in ("", "Ted", "cat\nb")])


def test_what_no_text_can_keep_is_one_line():
    cases = [
        *({"match": pattern} for pattern in [
            r"(a)\1", "(?P<x>a)(?P=x)", "a(?=b)", "(?<!a)b", "(a)?(?(1)b|c)", "(?i)a", "(?#no)a", "(?>a)b", "a*+",
            r"\bword\b", "a^b", "(a$)b", "*a", "a|+", "a**", "a{2}{3}", "a{3,2}", "(ab", "ab)", "[ab", "[a-", "[b-a]",
            r"[a-\d]", "a\\", r"\q", r"\x6", r"\U00110000", r"[\9]", "😀(", "(" * 101 + ")" * 101, "", "()*", "a{,}{",
            "[ab]{3000}[ab]{30000}", "(?:[ab]{40}){600}", "z+", "😀[zy]", r"\z", "'ü", "\u200b", "a|\\", "(?:a?){2000}",
        ]),
        {"starts": "Tü"}, {"starts": ["a\nb"]}, {"max_line": 1001}, {"max_line": -1},
        {"words": True, "match": "[jx]+"}, {"words": True, "starts": "Nato"}, {"match": "a{5}", "max_line": 3},
        {"match": "[aeb]{4}", "words": True, "max_line": 3}, {"words": ["zz"]}, {"words": "zz, zy"},
        {"words": "za", "rhyme": True}, {"words": ["", "!"]},
    ]  # fmt: skip
    check([case("char", each, steps=3) for each in cases])
    check([case("byte", {"words": True}), case("byte", {"rhyme": True}), case("sentencepiece", {"rhyme": True})])
    check([case("char", {"rhyme": True}, record="\n"), case("char", {"rhyme": True, "words": "to cat"})])
    no_words = evaluate(AFTER, {"tokenizers": [CHARACTERS.to_state()], "words": [],
                                "cases": [{**case("char", {"words": True})[0], "tokens": []}]})  # fmt: skip
    with pytest.raises(UsageError) as caught:
        Rules(RuleSettings(words=True), CHARACTERS)
    assert no_words == [str(caught.value)]


def test_kinds_of_characters_are_those_of_python():
    script = """
    const { kindOf } = await import(`${page}/engine/rules/characters.js`);
    const unknown = /\\p{Cn}/u;
    const without = [];
    for (let point = 0; point <= 0x10ffff; point++) if (unknown.test(String.fromCodePoint(point))) without.push(point);
    console.log(JSON.stringify({ kinds: [..."dDwWsS"].map((letter) => kindOf(letter)), without }));
    """
    answer = evaluate(script)
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    new = set(answer["without"]) | {p for p in range(sys.maxunicode + 1) if unicodedata.category(chr(p)) == "Cn"}
    for letter, ranges in zip("dDwWsS", answer["kinds"], strict=True):
        assert all(first[1] + 1 < second[0] for first, second in pairwise(ranges))
        ours = {point for first, last in ranges for point in range(first, last + 1)} - new
        theirs = {ord(each) for each in re.findall(f"\\{letter}", everything)} - new
        assert ours == theirs


GENERATE = """
const { Player } = await import(`${page}/engine/player.js`);
const player = new Player([{ id: "tiny", file: fileOf(given.file), facts: {} }]);
const answers = [];
for (const request of given.requests) {
  const texts = ["", "", ""].slice(0, request.rows ?? 1);
  const reasons = [...texts];
  for await (const { event, data } of player.generate(request, new AbortController().signal)) {
    if (event === "text") texts[data.row] += data.texts.join("");
    if (event === "end") reasons[data.row] = data.reason;
  }
  answers.push({ texts, reasons });
}
console.log(JSON.stringify({ answers, rules: player.models().models[0].rules }));
"""


def generated(path: Path, requests, **writing):
    """What the page's engine writes, with a network of random weights."""
    write(path, replace(network(), words=WORDS, writing=Writing(temperature=1.0, **writing)))
    return evaluate(GENERATE, {"file": str(path), "requests": requests})


@pytest.mark.parametrize("length", [*(pytest.param(length, marks=pytest.mark.slow) for length in (1, 30)), 400])
def test_what_is_written_matches_in_python(length, tmp_path):
    patterns = [
        r"[a-z ]{10}\.", r"\w+(?: \w+){3,}!", r"(?:[A-Z][a-z]{2,8}\n){4}", "a*b?c", r"\d+\.\d\d é😀?", r"[^\n]+\n\n",
        r"(?:Tide|The sea)(?:, \w{3,}){120}", ".*", r"[\s\S]{50,}",
    ]  # fmt: skip
    asked = [{"text": "The tide", "length": length, "seed": 3, "rows": 3, "match": each} for each in patterns]
    answers = generated(tmp_path / "tiny.safetensors", asked)["answers"]
    for pattern, answer in zip(patterns, answers, strict=True):
        for text, reason in zip(answer["texts"], answer["reasons"], strict=True):
            assert re.fullmatch(pattern, text), (pattern, text)
            assert reason == "rule" or len(text) >= length
        assert len(set(answer["texts"])) > 1 or length == 1 or pattern == "a*b?c"


def test_rules_are_kept_after_a_text(tmp_path):
    asked = [
        {"text": "Tide", "length": 300, "seed": 1, "starts": "Up, down,1"},
        {"text": "The tide was out", "length": 300, "seed": 1, "max_line": 20},
        {"text": "an", "length": 200, "seed": 2, "words": True, "max_line": 12},
        {"text": "an", "length": 50, "seed": 2},
    ]
    told = generated(tmp_path / "tiny.safetensors", asked)
    assert told["rules"] == ["match", "starts", "max_line", "words", "rhyme", "particles"]
    (acrostic,), (lines,), (words,), (free,) = (answer["texts"] for answer in told["answers"])
    begun = [line[: len(start)] for line, start in zip(acrostic.split("\n"), ("Up", "down", "1"), strict=False)]
    assert begun == ["Up", "down", "1"]
    assert max(map(len, ("The tide was out" + lines).split("\n"))) == 20
    assert set(find_words(("an" + words).replace("’", "'"))) <= {*WORDS, *(each.capitalize() for each in WORDS)}
    assert max(map(len, ("an" + words).split("\n"))) <= 12
    assert len(free) == 50


def test_a_text_that_has_its_length_goes_on_to_where_it_may_end(tmp_path):
    asked = [{"text": "a", "length": 5, "seed": seed, "match": "[a-z ]*[.]"} for seed in range(8)]
    for answer in generated(tmp_path / "tiny.safetensors", asked)["answers"]:
        (text,) = answer["texts"]
        assert re.fullmatch("[a-z ]*[.]", text)
        assert len(text) <= 5 + 64 + 1
        assert answer["reasons"] == ["rule"]


def test_a_search_for_an_end_can_be_stopped():
    starter = Path(__file__).parents[2] / "checkpoints" / "starter" / "model.safetensors"
    script = """
    const { Player } = await import(`${page}/engine/player.js`);
    const player = new Player([{ id: "starter", file: fileOf(given), facts: {} }]);
    player.load("starter");
    const request = { text: "The tide", length: 30, match: "[^z]*z{4}", words: true }; // no word has four
    const control = new AbortController();
    setTimeout(() => control.abort(), 20);
    const begun = performance.now();
    let fault = "";
    try { for await (const _ of player.generate(request, control.signal)); } catch ({ name }) { fault = name; }
    console.log(JSON.stringify({ fault, ms: performance.now() - begun }));
    """
    answer = evaluate(script, str(starter))
    assert answer["fault"] == "AbortError"
    assert answer["ms"] < 5000


def test_what_no_text_can_keep_is_soon_told():
    starter = Path(__file__).parents[2] / "checkpoints" / "starter" / "model.safetensors"
    script = """
    const { Player } = await import(`${page}/engine/player.js`);
    const player = new Player([{ id: "starter", file: fileOf(given), facts: {} }]);
    const request = { text: "The tide", length: 30, match: "[^z]*z{4}", words: true };
    try { for await (const _ of player.generate(request, new AbortController().signal)); }
    catch ({ message }) { console.log(JSON.stringify(message)); }
    """
    assert evaluate(script, str(starter)).startswith("no text was found that keeps to `match` and `words` together: ")


def test_records_end_where_they_match(tmp_path):
    asked = [{"text": text, "length": 200, "seed": 1, "match": "[a-z]{3,9}"} for text in ("", "Ann\n", "Ann\nb")]
    for answer in generated(tmp_path / "tiny.safetensors", asked, record="\n")["answers"]:
        assert re.fullmatch("[a-z]{3,9}", answer["texts"][0])
        assert answer["reasons"] == ["stop"]


def test_characters_that_a_mix_never_draws_are_written_where_the_rules_leave_no_other(tmp_path):
    files = [tmp_path / name for name in ("one.safetensors", "two.safetensors")]
    for path, alphabet in zip(files, ("ab\n", "abc\n"), strict=True):
        write(path, replace(network(alphabet), words=("abc", "cab")))
    script = GENERATE.replace(
        '{ id: "tiny", file: fileOf(given.file), facts: {} }',
        "...given.files.map((path, k) => ({ id: String(k), file: fileOf(path), facts: {} }))",
    )
    mix = [{"model": "0", "weight": 1}, {"model": "1", "weight": 0}]
    asked = [
        {"mix": mix, "text": "ab", "length": 9, "seed": 1, **rules} for rules in ({"match": "c+a"}, {"words": True})
    ]
    first, second = evaluate(script, {"files": list(map(str, files)), "requests": asked})["answers"]
    assert re.fullmatch("c+a", first["texts"][0])
    assert set(find_words("ab" + second["texts"][0])) <= {"abc", "cab", "Abc", "Cab"}
