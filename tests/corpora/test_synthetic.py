"""The entropy of synthetic text, measured by a predictor that knows the rules.

The mean of -log p over a long text, with p the probability of the next character under the true process, converges to
the entropy rate (Shannon, McMillan, Breiman). The predictors here are written from the rules, not from the code.
"""

from __future__ import annotations

import math
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from charlstm.corpora import synthetic
from charlstm.corpora.sources import open_sources
from charlstm.corpora.synthetic import Counting, Dyck, Markov, Recall, Synthetic, generate, parse
from charlstm.errors import NotFoundError, UsageError

LENGTH = 200_000


def text_of(source: Synthetic, size: int = LENGTH) -> str:
    return "".join(generate(source, size))


def counting(text: str, longest: int) -> Iterator[float]:
    """-log p of each character of aⁿbⁿ blocks."""
    a = b = 0
    for character in text:
        if b == a:  # a block has ended: the first a is certain
            assert character == "a"
            a, b = 1, 0
            yield 0.0
        elif b:
            assert character == "b"
            b += 1
            yield 0.0
        else:  # n is uniform on a … longest: it is a with probability 1 / (longest - a + 1)
            stop = 1 / (longest - a + 1)
            a, b = (a, 1) if character == "b" else (a + 1, 0)
            yield -math.log(stop if character == "b" else 1 - stop)


def dyck(text: str, kinds: int, depth: int) -> Iterator[float]:
    """-log p of each bracket."""
    stack: list[str] = []
    for character in text:
        opens = character in "([{<"
        fair = 0.5 if 0 < len(stack) < depth else 1.0
        if opens:
            assert len(stack) < depth
            stack.append(character)
            yield -math.log(fair / kinds)
        else:
            assert stack.pop() + character in ("()", "[]", "{}", "<>")
            yield -math.log(fair)


def recall(text: str, gap: int, letters: int) -> Iterator[float]:
    """-log p of each character of the lines."""
    for begin in range(0, len(text), gap + 3):
        line = text[begin : begin + gap + 3]
        assert line[0] in string.ascii_lowercase[:letters]
        assert set(line[1 : gap + 1]) <= set("01")
        assert line[gap + 1 :] in (line[0] + "\n", line[0], "")
        yield from [math.log(letters), *[math.log(2)] * gap, 0.0, 0.0][: len(line)]


def markov(text: str, order: int, alphabet: int) -> Iterator[float]:
    """-log p by the text's own counts: the plug-in estimate of the conditional entropy."""
    following: dict[str, Counter[str]] = defaultdict(Counter)
    for end in range(order, len(text)):
        following[text[end - order : end]][text[end]] += 1
    for counts in following.values():
        total = sum(counts.values())
        for count in counts.values():
            yield from [-math.log(count / total)] * count


Reader = Callable[[str], Iterator[float]]
CASES: list[tuple[Synthetic, Reader]] = [
    (Counting(longest=1), lambda text: counting(text, 1)),
    (Counting(longest=7, seed=3), lambda text: counting(text, 7)),
    (Counting(longest=30), lambda text: counting(text, 30)),
    (Dyck(), lambda text: dyck(text, 2, 8)),
    (Dyck(kinds=4, depth=1), lambda text: dyck(text, 4, 1)),
    (Dyck(kinds=1, depth=3, seed=5), lambda text: dyck(text, 1, 3)),
    (Recall(), lambda text: recall(text, 20, 8)),
    (Recall(gap=0, letters=26, seed=9), lambda text: recall(text, 0, 26)),
    (Markov(order=1, alphabet=2), lambda text: markov(text, 1, 2)),
    (Markov(order=2, alphabet=4, seed=4), lambda text: markov(text, 2, 4)),
    (Markov(order=3, alphabet=3), lambda text: markov(text, 3, 3)),
]


@pytest.mark.parametrize(("source", "read"), CASES, ids=lambda case: repr(case) if hasattr(case, "seed") else "")
def test_the_entropy_rate_is_the_loss_of_a_perfect_predictor(source: Synthetic, read: Reader) -> None:
    losses = np.fromiter(read(text_of(source)), float)
    # The bound is some five times the spread between seeds at this length.
    assert losses.mean() == pytest.approx(source.entropy_rate(), abs=0.006)


@pytest.mark.parametrize(("order", "alphabet"), [(1, 2), (2, 3), (3, 4)])
def test_markov_entropy_by_linear_algebra(order: int, alphabet: int) -> None:
    source = Markov(order, alphabet, seed=7)
    table, size = source.table(), alphabet**order
    moves = np.zeros((size, size))
    for context in range(size):
        for letter in range(alphabet):
            moves[context, (context * alphabet + letter) % size] += table[context, letter]
    equations = np.vstack((moves.T - np.eye(size), np.ones(size)))
    stationary = np.linalg.lstsq(equations, np.r_[np.zeros(size), 1.0])[0]
    entropy = -(stationary[:, None] * table * np.log(table)).sum()
    assert source.entropy_rate() == pytest.approx(entropy, abs=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_dyck_entropy_by_linear_algebra(depth: int) -> None:
    moves = np.zeros((depth + 1, depth + 1))
    for place in range(depth + 1):
        up = 1.0 if place == 0 else 0.0 if place == depth else 0.5
        moves[place, min(place + 1, depth)] += up
        moves[place, max(place - 1, 0)] += 1 - up
    equations = np.vstack((moves.T - np.eye(depth + 1), np.ones(depth + 1)))
    stationary = np.linalg.lstsq(equations, np.r_[np.zeros(depth + 1), 1.0])[0]
    each = [math.log(3), *[math.log(2) + math.log(3) / 2] * (depth - 1), 0.0]
    assert Dyck(kinds=3, depth=depth).entropy_rate() == pytest.approx(float(stationary @ each), abs=1e-12)


@pytest.mark.parametrize("source", [case[0] for case in CASES], ids=repr)
def test_the_same_name_gives_the_same_text(source: Synthetic) -> None:
    assert text_of(source, 70_000) == text_of(source, 140_000)[:70_000]
    assert text_of(source, 1) == text_of(source, 2)[0]
    assert len(text_of(source, 12_345)) == 12_345


def test_seeds_matter() -> None:
    assert len({text_of(Markov(seed=seed), 200) for seed in range(5)}) == 5


def test_names() -> None:
    assert parse("synthetic:dyck,depth=3,size=12") == ("dyck", Dyck(depth=3), 12)
    assert parse("synthetic:recall") == ("recall", Recall(), synthetic.SIZE)
    with pytest.raises(NotFoundError, match="synthetic:markov"):
        parse("synthetic:marko")
    for wrong, message in {
        "synthetic:dyck,deep=3": "depth=NUMBER",
        "synthetic:dyck,depth": "'depth' is not one of its settings",
        "synthetic:dyck,depth=-1": "not one of its settings",
        "synthetic:dyck,depth=٣": "not one of its settings",
        "synthetic:dyck,depth=0": "between 1",
        "synthetic:dyck,size=0": "size=0 must be between 1",
        "synthetic:markov,order=9,alphabet=26": "contexts",
        "synthetic:markov,alphabet=27": "between 2 and 26",
        "synthetic:anbn,": "not one of its settings",
    }.items():
        with pytest.raises(UsageError, match=message) as caught:
            parse(wrong)
        assert caught.value.where == wrong


def test_a_corpus_knows_its_true_entropy(tmp_path: Path) -> None:
    corpus = open_sources(["synthetic:anbn,longest=3,size=500"], cache=tmp_path)
    assert "".join(corpus.chunks()) == text_of(Counting(longest=3), 500)
    assert corpus.entropy_rate == pytest.approx(math.log(3) / 4)
    assert corpus.name == "anbn"
    assert open_sources(["synthetic:anbn", "synthetic:dyck"], cache=tmp_path).entropy_rate is None


def test_the_largest_table_is_fast() -> None:
    source = Markov(order=8, alphabet=4)
    assert 0.5 < source.entropy_rate() < math.log(4)
    assert len("".join(islice(source.characters(), 1))) > 1000
