"""Which words rhyme, and text in pairs of lines that do, against the network's own distribution of such lines."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.couplets import _WITHOUT_MARK, Couplets, _Place
from charlstm.sampling.fragments import Row
from charlstm.sampling.position import prefill
from charlstm.sampling.rules.from_settings import Rules, RuleSettings
from charlstm.sampling.rules.rhymes import Rhymes, last_word, split_rhyme
from charlstm.sampling.sampler import Fragment, sample
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov, random_markov
from tests.sampling.test_no_copy import Copier, assert_no_copy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("night", "light"), ("love", "Above"), ("singing", "bringing"), ("water", "later"), ("happy", "snappy"),
        ("sky", "my"), ("day", "away"), ("queen", "seen"), ("walked", "talked"), ("waves", "caves"), ("table", "able"),
        ("nation", "station"), ("Liebe", "Triebe"), ("singen", "klingen"), ("grün", "Stün"), ("amour", "jour"),
        ("all", "ball"), ("see", "free"), ("quick", "trick"), ("you", "thou"), ("ночь", "дочь"), ("λόγος", "νόμος"),
        ("rain", "train"), ("all", "football"),
    ],
)  # fmt: skip
def test_words_that_rhyme(one: str, other: str) -> None:
    rhymes = Rhymes([one, other, "xyz"])
    assert (rhymes.of(one), rhymes.of(other)) == ([other], [one])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("night", "night"), ("light", "delight"), ("myself", "herself"), ("water", "better"), ("love", "give"),
        ("sea", "tree"), ("running", "thing"), ("happy", "country"), ("the", "little"), ("cat", "cut"), ("hmm", "shh"),
        ("stand", "understand"), ("house", "outhouse"), ("Day", "birthday"), ("knight", "knights"), ("grün", "kühn"),
    ],
)  # fmt: skip
def test_words_that_do_not(one: str, other: str) -> None:
    rhymes = Rhymes([one, other])
    assert not rhymes.of(one)
    assert not rhymes.of(other)


def test_a_word_is_split_before_the_vowels_that_rhyme() -> None:
    assert [split_rhyme(word) for word in ("Strange", "delight", "e", "psst", "", "Yes", "eye", "queue")] == [
        ("str", "ange"), ("l", "ight"), ("", "e"), ("", ""), ("", ""), ("y", "es"), ("", "eye"), ("qu", "eue")
    ]  # fmt: skip
    assert [last_word(text) for text in ("to the sea", "sea,", "", "don't", "Ärger")] == ["sea", "", "", "t", "Ärger"]


# ---- lines ----------------------------------------------------------------------------------------------------------

ALPHABET = "abcdeghilnorst ,.\n"
WORDS = ("cat", "hat", "bed", "red", "night", "light", "bright", "tone", "stone", "alone", "are", "care", "so", "go")


def drawn(model: Any, **settings: Any) -> list[Fragment]:
    rules = {
        name: settings.pop(name) for name in ("match", "starts", "max_line", "words", "particles") if name in settings
    }
    made = Rules(RuleSettings(rhyme=True, **rules), model.tokenizer, own_words=WORDS)
    rows = settings.pop("rows", 1)
    config = SampleConfig(**{"length": 60, **settings})
    guide, prompt = made.after(""), model.tokenizer.encode("\n")
    return list(sample(
        model, prompt, config, rows=rows, guide=guide, rhymes=made.rhymes, particles=made.particles,
        with_log_probabilities=True,
    ))  # fmt: skip


def text_of(fragments: list[Fragment]) -> str:
    return "".join(fragment.text for fragment in fragments)


def assert_rhymes(text: str) -> None:
    lines = text.removesuffix("\n").split("\n")
    assert text.endswith("\n")
    assert len(lines) % 2 == 0
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        one, other = (last_word(line.rstrip(",.")) for line in (first, second))
        assert split_rhyme(one)[1] == split_rhyme(other)[1] != ""
        assert other in WORDS
        assert one != other
        assert len(second) <= 1.3 * len(first) + 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"temperature": 0.5, "particles": 8},
        {"max_line": 18},
        {"words": WORDS},
        {"words": WORDS, "max_line": 25},
        {"starts": "a,be,c,d"},
        {"match": "(.*[at]. [^\n]*\n)*"},
        {"repetition_penalty": 1.3, "no_repeat": 4, "longest_run": 2, "min_p": 0.05},
    ],
)
def test_lines_rhyme_in_pairs_and_keep_the_other_rules(rules: dict[str, Any], seed: int) -> None:
    model = random_markov(ALPHABET, seed, spread=1.0, unknown=True)
    text = text_of(drawn(model, seed=seed, **rules))
    assert_rhymes(text)
    if "starts" in rules:
        assert [line[:1] for line in text.split("\n")] == ["a", "b", "c", "d", ""]
    else:
        assert len(text) >= 60
    if "max_line" in rules:
        assert max(map(len, text.split("\n"))) <= rules["max_line"]
    if "words" in rules:
        assert {word.lower() for word in re.findall("[a-z]+", text)} <= set(WORDS)
    if "match" in rules:
        assert re.fullmatch(rules["match"], text)


@pytest.mark.parametrize("seed", range(3))
def test_rhyming_lines_copy_nothing_and_keep_all_other_rules(seed: int) -> None:
    source = "so the cat is in bed, alone on the stone.\nthe light is red at night on the hat.\n" * 5
    tokenizer = CharTokenizer(sorted(ALPHABET))
    ids = tokenizer.encode(source)
    typed = RuleSettings(
        rhyme=True, no_copy=20, max_line=40, words=(*WORDS, "the", "is", "in", "on", "at"), starts="s,t"
    )
    made = Rules(typed, tokenizer, own_words=WORDS, training_ids=lambda: ids)
    model = Copier(ids.tolist(), tokenizer, 3.0)
    config = SampleConfig(length=300, seed=seed)
    text = text_of(list(sample(model, [0], config, guide=made.after("\n"), rhymes=made.rhymes)))
    lines = text.removesuffix("\n").split("\n")
    assert [line[0] for line in lines] == ["s", "t"]
    one, other = (split_rhyme(last_word(line.rstrip(",."))) for line in lines)
    assert one[1] == other[1] != ""
    assert max(map(len, lines)) <= 40
    assert {word.lower() for word in re.findall("[a-z]+", text)} <= set(typed.words)  # type: ignore[arg-type]
    assert_no_copy("\n", text, source, 20)


def test_lines_a_seed_and_the_fragments() -> None:
    model = random_markov(ALPHABET, 5, spread=1.0)
    three = drawn(model, seed=2, lines=4, rows=3, length=0)
    assert text_of([each for each in three if each.row == 0]) == text_of(drawn(model, seed=2, lines=4, length=0))
    for row in range(3):
        fragments = [each for each in three if each.row == row]
        assert_rhymes(text_of(fragments))
        assert text_of(fragments).count("\n") == 4
        assert fragments[-1].finish_reason == "lines"
        last = ALPHABET.index("\n")
        for each in fragments:
            logits = model.table[last].astype(float)
            assert each.logits.tolist() == model.table[last].tolist()
            assert each.log_probability == pytest.approx(logits[each.token] - np.log(np.exp(logits).sum()))
            last = each.token


def test_a_first_line_goes_on_with_the_line_that_the_prompt_has_begun() -> None:
    model = random_markov(ALPHABET, 5, spread=1.0)
    made = Rules(RuleSettings(rhyme=True), model.tokenizer, own_words=WORDS)
    prompt = model.tokenizer.encode("on a stone so " * 4)
    text = text_of(list(sample(model, prompt, SampleConfig(lines=2, seed=1), rhymes=made.rhymes)))
    first, second, _ = text.split("\n")
    assert len(second) > len(first), "as long as the whole first line"


def exact_lines(model: Markov, longest: int, words: tuple[str, ...]) -> dict[str, float]:
    """The weights of all lines that begin after a newline and end with one of some words, normalised."""
    alphabet = model.tokenizer.decode(range(model.vocab_size))
    newline, logs = model.vocab_size - 1, model.table.astype(float)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    weights = {}
    for size in range(1, longest + 1):
        for tokens in itertools.product(range(newline), repeat=size):
            text = "".join(alphabet[token] for token in tokens)
            if any(text == word or text.endswith(" " + word) for word in words):
                steps = zip((newline, *tokens), (*tokens, newline), strict=True)
                weights[text] = math.exp(sum(logs[before, after] for before, after in steps))
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


@pytest.mark.slow
def test_second_lines_are_drawn_as_the_network_would_among_those_that_rhyme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.sampling.couplets._LEAST_SHARE", 0.0)
    table = np.random.default_rng(1).normal(size=(5, 5))
    table[4, 4] = -20.0  # no line is empty
    model = Markov(table, CharTokenizer("abt \n"))
    words = ("bat", "at")
    couplets = Couplets(model, Rhymes(words), SampleConfig(), lines=200)
    start = prefill(model, [4])
    begin = _Place((), "", start, 0, couplets._scores(start)[0], None)
    counts: Counter[str] = Counter()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        line = couplets._choose(couplets._second_lines(begin, [], 5, words, rng), rng)
        assert line is not None
        counts[line.text.removesuffix("\n")] += 1
    exact = exact_lines(model, 8, words)
    common = {text: share for text, share in exact.items() if share > 0.01}
    drawn, truth = [counts[text] / 300 for text in common], list(common.values())
    differences = np.abs(np.subtract([*drawn, 1 - sum(drawn)], [*truth, 1 - sum(truth)]))
    assert counts.keys() <= exact.keys()
    assert differences.sum() / 2 < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_many_lines_to_choose_from_do_not_crowd_out_those_that_are_long_enough(seed: int) -> None:
    model = random_markov(ALPHABET, seed, spread=1.0)
    couplets = Couplets(model, Rhymes(WORDS), SampleConfig(), lines=1000)
    start = prefill(model, [len(ALPHABET) - 1])
    begin = _Place((), "", start, 0, couplets._scores(start)[0], None)
    lines = couplets._second_lines(begin, [], 60, ("light", "bright"), np.random.default_rng(seed))
    assert len(lines) > 30
    assert all(45 <= len(line.text.rstrip("\n,.")) <= 78 for line in lines)


def test_a_mark_before_the_end_is_liked_better() -> None:
    model = random_markov(ALPHABET, 8, spread=0.0)
    texts = [text_of(drawn(model, seed=seed, lines=2)) for seed in range(10)]
    ends = [line[-1] for text in texts for line in text.splitlines()]
    marked = sum(end in ",." for end in ends)
    # By chance a mark and an end are as likely as any two characters, so that one in eighteen lines would have one.
    assert marked > 0.9 * len(ends)
    assert -math.log(model.vocab_size) > _WITHOUT_MARK


def test_a_pair_is_liked_better_that_ends_with_its_sentence() -> None:
    model = random_markov(ALPHABET, 8, spread=0.0)
    ends = [text_of(drawn(model, seed=seed, lines=2)).splitlines()[1][-1] for seed in range(30)]
    # By chance a full stop and a comma are as likely.
    assert ends.count(".") > 3 * ends.count(",")


def test_the_second_line_begins_where_the_first_one_has_ended() -> None:
    model = random_markov(ALPHABET, 5, spread=1.0)
    couplets = Couplets(model, Rhymes(WORDS), SampleConfig(temperature=0.7), lines=8)
    start = prefill(model, [3])
    begin = _Place((), "", start, 0, couplets._scores(start)[0], None)
    for line in couplets._first_lines(begin, [], 0, np.random.default_rng(1)):
        after = couplets._after(line)
        assert (after.tokens, after.text, after.nats) == ((), "", 0.0)
        assert after.scores == pytest.approx(couplets._scores(prefill(model, [3, *line.tokens]))[0])


def test_greedy_lines_rhyme_as_well() -> None:
    tokenizer = CharTokenizer(sorted(ALPHABET))
    model = Copier(tokenizer.encode("so the cat is in bed.\n" * 9).tolist(), tokenizer, 3.0)
    texts = {text_of(drawn(model, seed=seed, temperature=0, lines=2)) for seed in range(3)}
    assert len(texts) == 1
    assert_rhymes(texts.pop())


def test_a_text_that_the_rules_end_with_a_first_line_ends_there() -> None:
    text = text_of(drawn(random_markov(ALPHABET, 1, spread=1.0), seed=1, starts="a,b,c", length=500))
    lines = text.removesuffix("\n").split("\n")
    assert [line[0] for line in lines] == ["a", "b", "c"]
    assert_rhymes("\n".join(lines[:2]) + "\n")


def test_where_nothing_rhymes_it_is_told() -> None:
    model = random_markov(ALPHABET, 1, spread=1.0)
    for words in (("nnn", "ttt"), ("so",), ("light", "delight")):
        with pytest.raises(UsageError, match="no two of the words rhyme"):
            Rules(RuleSettings(rhyme=True), model.tokenizer, own_words=words)
    made = Rules(RuleSettings(rhyme=True), model.tokenizer, own_words=WORDS)
    made.rhymes = Rhymes(("nnn", "ttt"))
    fragments = sample(model, [0], SampleConfig(lines=2), rhymes=made.rhymes)
    with pytest.raises(UsageError, match="no pair of lines that rhyme was found in 10 tries"):
        next(fragments)


def test_a_couplet_is_no_longer_than_its_row_wants() -> None:
    model = random_markov(ALPHABET, 2, spread=1.0)
    made = Rules(RuleSettings(rhyme=True), model.tokenizer, own_words=WORDS)
    assert made.rhymes is not None
    config = SampleConfig(length=10, seed=1)
    row = Row(0, model.tokenizer, config)
    couplets = Couplets(model, made.rhymes, config)
    fragments = list(couplets.write(prefill(model, [0]), row, np.random.default_rng(0)))
    assert text_of(fragments).count("\n") == 2
    assert fragments[-1].finish_reason == "length"
