"""Drawing by particles, against the distribution that the network has among all texts that keep a rule."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from charlstm.sampling.config import SampleConfig
from charlstm.sampling.generate import Rows
from charlstm.sampling.particles import _resample
from charlstm.sampling.position import prefill
from charlstm.sampling.rules.match import Automaton, MatchGuide
from charlstm.sampling.sampler import Fragment, sample
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov, random_markov


def garden_path() -> Markov:
    """A network that likes to begin with a, after which it hates what the rule asks for."""
    model = Markov(np.zeros((4, 4)), CharTokenizer("abxy"))
    #                      a    b    x     y
    model.table[:] = [[0.0, 0.0, -6.0, -6.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0]]
    model.table[3] = [4.0, 0.0, 0.0, 0.0]  # the prompt is y
    return model


PATTERN = "[ab][xy]{2}"


def exact(model: Markov, pattern: str, length: int, temperature: float = 1.0) -> dict[str, float]:
    """The probabilities of all texts of a length that match, by trying all texts."""
    alphabet = model.tokenizer.decode(range(model.vocab_size))
    weights = {}
    for tokens in itertools.product(range(model.vocab_size), repeat=length):
        nats, last = 0.0, model.vocab_size - 1
        for token in tokens:
            row = model.table[last].astype(float) / temperature
            nats += row[token] - np.log(np.exp(row).sum())
            last = token
        text = "".join(alphabet[token] for token in tokens)
        if re.fullmatch(pattern, text):
            weights[text] = float(np.exp(nats))
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


def distance(model: Markov, pattern: str, length: int, particles: int, draws: int, temperature: float = 1.0) -> float:
    """Half the sum of the differences between the shares of what is drawn and the exact ones (total variation)."""
    guide = MatchGuide(Automaton(pattern, model.tokenizer))
    config = SampleConfig(length=length, seed=1, temperature=temperature)
    texts = [""] * draws
    prompt = [model.vocab_size - 1]
    for fragment in sample(model, prompt, config, rows=draws, guide=guide, particles=particles):
        texts[fragment.row] += fragment.text
    drawn, truth = Counter(texts), exact(model, pattern, length, temperature)
    assert drawn.keys() <= truth.keys()
    return 0.5 * sum(abs(drawn[text] / draws - truth[text]) for text in truth)


def test_particles_leave_the_garden_path_that_a_guide_alone_follows() -> None:
    """It begins with a 55 times as often as with b, and then comes to x and y 400 times less easily."""
    model = garden_path()
    truth = exact(model, PATTERN, 3)
    assert sum(share for text, share in truth.items() if text[0] == "b") > 0.7
    alone, many = (distance(model, PATTERN, 3, particles, 200) for particles in (1, 200))
    assert alone > 0.6
    assert many < 0.1


@pytest.mark.parametrize(
    "temperature", [pytest.param(temperature, marks=pytest.mark.slow) for temperature in (0.5, 1.0, 2.0)]
)
def test_the_more_particles_the_nearer(temperature: float) -> None:
    model = random_markov("abcd", 4, spread=1.0)
    pattern = "(ab|c[ad]|d[a-d])(d[bc]|a[cd]|bb)"
    distances = [distance(model, pattern, 4, particles, 400, temperature) for particles in (1, 4, 64)]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.12


def test_the_share_that_is_allowed_is_that_of_the_networks_probability() -> None:
    model = random_markov("abcd", 2, unknown=True)
    rows = Rows(
        model, prefill(model, [1]), SampleConfig(temperature=2.0, top_k=1), 2,
        banned=(4,), guide=MatchGuide(Automaton("[ac]b", model.tokenizer)),
    )  # fmt: skip
    probabilities = np.exp(model.table[1, :4].astype(float) / 2)
    expected = np.log((probabilities[0] + probabilities[2]) / probabilities.sum())
    assert rows.allowed_share() == pytest.approx([expected, expected])


def draw(seed: int, rows: int = 1, particles: int = 8, **settings: object) -> list[Fragment]:
    model = random_markov("abcd.\n", 7, spread=3.0)
    guide = MatchGuide(Automaton(r"([a-d]{2,9}[.\n])+", model.tokenizer))
    config = SampleConfig(**{"length": 60, "seed": seed, **settings})  # type: ignore[arg-type]
    return list(sample(model, [0], config, rows=rows, guide=guide, particles=particles, with_log_probabilities=True))


def plain(fragments: list[Fragment], row: int = 0) -> list[Any]:
    """All that the fragments of a row say, so that it can be compared."""
    return [(*each[:-1], each.logits.tolist()) for each in fragments if each.row == row]


def test_a_text_is_that_of_its_seed_however_many_are_drawn() -> None:
    three = draw(5, rows=3)
    assert plain(three) == plain(draw(5))
    assert "".join(each.text for each in draw(6)) != "".join(each.text for each in draw(5))
    assert [each.row for each in three] == sorted(each.row for each in three)


def test_fragments_are_those_of_one_text_with_its_log_probabilities() -> None:
    model = random_markov("abcd.\n", 7, spread=3.0)
    fragments = draw(9)
    last = 0
    for fragment in fragments:
        row = model.table[last].astype(float)
        assert fragment.logits.tolist() == model.table[last].tolist()
        assert fragment.log_probability == pytest.approx(row[fragment.token] - np.log(np.exp(row).sum()))
        last = fragment.token
    assert "".join(each.text for each in fragments) == model.tokenizer.decode(each.token for each in fragments)
    assert [bool(each.finish_reason) for each in fragments] == [False] * (len(fragments) - 1) + [True]


@pytest.mark.parametrize(("settings", "reason"), [({"stop": "b."}, "stop"), ({"lines": 2}, "lines"), ({}, "length")])
def test_every_particle_has_its_own_end(settings: dict[str, object], reason: str) -> None:
    reasons = set()
    for seed in range(8):
        fragments = draw(seed, length=300, **settings)
        text, end = "".join(each.text for each in fragments), fragments[-1].finish_reason
        assert "b." not in text or "stop" not in settings
        assert text.count("\n") == 2 if end == "lines" else True
        reasons.add(end)
    assert reason in reasons


def test_a_text_begins_before_it_is_known_to_its_end() -> None:
    model = random_markov("abcd", 3)
    guide = MatchGuide(Automaton("(ab|cd|ca|dd)*", model.tokenizer))
    fragments = sample(model, [0], SampleConfig(length=2000, seed=1), guide=guide, particles=4)
    next(fragments)
    assert len(model.steps) < 1000


@pytest.mark.parametrize("seed", range(5))
def test_resampling_takes_each_about_as_often_as_its_weight_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=50) * 3
    shares = np.exp(weights) / np.exp(weights).sum() * 50
    taken = np.bincount(_resample(weights, rng), minlength=50)
    assert taken.sum() == 50
    assert (np.abs(taken - shares) < 1 + 1e-9).all()
