"""Rhymes in JavaScript: the same words rhyme as in Python, and the same lines are put together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.format import write
from charlstm.corpora.words import find_words
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.rules.rhymes import Rhymes, last_word, split_rhyme
from charlstm.sampling.sampler import sample
from tests.fake_models import random_markov
from tests.page.browser import network
from tests.page.node import evaluate, needs_node
from tests.page.test_rules import GENERATE
from tests.page.test_text import CORPUS
from tests.sampling.test_rhymes import ALPHABET, WORDS, assert_rhymes

pytestmark = needs_node

SPLIT = """
const { lastWord, Rhymes, splitRhyme } = await import(`${page}/engine/rules/rhymes.js`);
const rhymes = new Rhymes(given);
console.log(JSON.stringify(given.map((word) => [lastWord(word), ...Object.values(splitRhyme(word)), rhymes.of(word)])));
"""


def check_words(words: list[str]) -> None:
    rhymes = Rhymes(words)
    expected = [[last_word(word), *split_rhyme(word), rhymes.of(word)] for word in words]
    assert evaluate(SPLIT, words) == expected


def test_the_words_of_a_book_rhyme_as_in_python() -> None:
    words = sorted(set(find_words(CORPUS)))
    assert len(words) > 1000
    check_words(words)


@settings(max_examples=10)
@given(
    st.lists(
        st.text(st.sampled_from("aeiouyqlrmnstz'éïŵёйяωά李👍İ"), max_size=8), min_size=100, max_size=300, unique=True
    )
)
@example(
    ["queue", "myself", "herself", "outhouse", "house", "rain", "train", "all", "football", "y", "", "qu", "É", "İl"]
)
def test_words_of_any_letters_rhyme_as_in_python(words: list[str]) -> None:
    check_words(words)


MANY = """
const { lastWord, Rhymes } = await import(`${page}/engine/rules/rhymes.js`);
const begun = performance.now();
const rhymes = new Rhymes(Array.from({ length: 30_000 }, (_, number) => `${number.toString(36)}enata`));
const last = lastWord(`${"b".repeat(40_000)}!`);
console.log(JSON.stringify([rhymes.byEnd.get("ata").get("n").length, last, performance.now() - begun]));
"""


def test_many_words_of_one_end_take_no_time_of_their_square() -> None:
    count, last, milliseconds = evaluate(MANY)
    assert (count, last) == (30_000, "")
    assert milliseconds < 5000


# ---- lines -----------------------------------------------------------------------------------------------------------

PAIRS = """
const { NO_FILTER } = await import(`${page}/engine/filters.js`);
const { tokenizerOf } = await import(`${page}/engine/tokenizers.js`);
const { Rules } = await import(`${page}/engine/rules/rules.js`);
const { writeInCouplets } = await import(`${page}/engine/couplets.js`);
const last = (work, each = () => {}) => {
  for (;;) { const { value, done } = work.next(); if (done) return value; each(value); }
};
const cycling = (numbers) => { let at = 0; return () => numbers[at++ % numbers.length]; };
console.log(JSON.stringify(given.cases.map(({ table, rules, settings }) => {
  const tokenizer = tokenizerOf({ kind: "char", alphabet: given.alphabet });
  const logits = table.map((row) => Float32Array.from(row));
  const network = { step: (token) => ({ logits: logits[token], state: {} }) };
  const prompt = tokenizer.encode("\\n");
  const made = new Rules({ rhyme: true, ...rules }, tokenizer, given.words, "");
  const guide = last(made.after(""));
  const asked = { ...NO_FILTER, length: 60, lines: 0, stop: [], ...settings };
  const uniforms = [cycling([0.5]), ...given.uniforms.map(cycling)];
  let text = "";
  try {
    const start = { logits: logits[prompt[0]], state: {} };
    const writing = writeInCouplets(network, tokenizer, start, prompt, asked, uniforms, null, guide, made.rhymes);
    const reason = last(writing, (drawn) => text += drawn.map((each) => each.text).join(""));
    return [text, reason];
  } catch (fault) { return [text, fault.message]; }
})));
"""


class Cycling:
    """A generator whose draws are always the same, so that each line goes its own way, alike in both languages."""

    def __init__(self, uniforms: list[list[float]], own: int | None = None) -> None:
        self.uniforms, self.own = uniforms, own

    def spawn(self, count: int) -> list[Cycling]:
        return [Cycling(self.uniforms, line) for line in range(count)]

    def gumbel(self, size: Any) -> Any:
        numbers = [0.5] if self.own is None else self.uniforms[self.own]
        return np.resize(-np.log(-np.log(numbers)), size)


def in_python(model: Any, rules: dict[str, Any], config: dict[str, Any]) -> tuple[str, str]:
    made = Rules(RuleSettings(rhyme=True, particles=16, **rules), model.tokenizer, own_words=WORDS)
    prompt, text, end = model.tokenizer.encode("\n"), "", None
    asked = SampleConfig(**{"length": 60, **config})
    try:
        for each in sample(model, prompt, asked, guide=made.after(""), rhymes=made.rhymes, particles=made.particles):
            text, end = text + each.text, each.finish_reason
    except UsageError as error:
        return text, str(error)
    return text, str(end)


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({}, {"temperature": 0.5, "lines": 6}),
    ({}, {"temperature": 0, "lines": 2}),
    ({"max_line": 18}, {"temperature": 0.8}),
    ({"words": [*WORDS]}, {"top_p": 0.9}),
    ({"words": " ".join(WORDS), "max_line": 25}, {"no_repeat": 4, "longest_run": 2}),
    ({"starts": "a,be,c,d,e"}, {"min_p": 0.05}),
    ({"match": "(.*[at]. [^\n]*\n)*"}, {"stop": ["n."]}),
]


def test_lines_are_put_together_as_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same draws on both sides the same pairs are found, or the same is said where none is."""
    uniforms = np.random.default_rng(7).uniform(0.01, 0.99, (16, len(ALPHABET))).tolist()
    monkeypatch.setattr("charlstm.sampling.sampler.row_generators", lambda *_: [Cycling(uniforms)])
    models = [random_markov(ALPHABET, seed, spread=1.0) for seed in range(2)]
    cases = [(model, rules, config) for model in models for rules, config in CASES]
    expected = [list(in_python(*case)) for case in cases]
    asked = [{"table": model.table.tolist(), "rules": rules, "settings": config} for model, rules, config in cases]
    given = {"alphabet": ALPHABET, "words": WORDS, "uniforms": uniforms, "cases": asked}
    assert evaluate(PAIRS, given) == expected
    found = [text for text, end in expected if end in ("length", "lines", "rule") and text.count("\n") % 2 == 0]
    assert len(found) > len(cases) / 4
    for text in found:
        assert_rhymes(text)


def test_a_network_writes_lines_that_rhyme_with_its_own_words(tmp_path) -> None:
    write(tmp_path / "tiny.safetensors", network())
    asked = [{"text": "The ", "length": 80, "seed": seed, "rhyme": True, "rows": 2} for seed in range(2)]
    told = evaluate(GENERATE, {"file": str(tmp_path / "tiny.safetensors"), "requests": asked})
    assert "rhyme" in told["rules"]
    rhymes = Rhymes(network().words)
    texts = [text for answer in told["answers"] for text in answer["texts"]]
    assert len(set(texts)) == 4
    for text in texts:
        lines = text.removesuffix("\n").split("\n")
        assert len(lines) % 2 == 0
        words = [last_word(line.rstrip(",.;:!?")) for line in lines]
        for number, (one, other) in enumerate(pairwise(words)):
            assert number % 2 or other in rhymes.of(one)
