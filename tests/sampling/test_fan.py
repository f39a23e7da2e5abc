"""The fan of futures, against all paths enumerated one by one."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine.mix import MixedEngine
from charlstm.errors import CheckpointError, UsageError
from charlstm.nn.model import CharLM
from charlstm.sampling import fan as module
from charlstm.sampling.fan import FanNode, fan
from charlstm.sampling.position import prefill
from charlstm.tokenizers import CharTokenizer
from tests.fake_models import Markov, random_markov
from tests.networks import architecture, engine_for, torch_backend_for
from tests.sampling.test_frozen_memory import PROMPT
from tests.sampling.test_frozen_memory import network as remembering


def log_probability(row: Any, token: int) -> float:
    return float(row[token]) - math.log(sum(math.exp(value) for value in row))


def every_path(model: Any, prompt: list[int], depth: int) -> dict[tuple[int, ...], float]:
    """The probability of every path, each read by itself after the prompt."""
    found, position = {}, prefill(model, prompt)
    for length in range(1, depth + 1):
        for path in itertools.product(range(model.vocab_size), repeat=length):
            nats, logits, state = 0.0, position.logits, model.freeze(position.state)
            for token in path:
                nats += log_probability(logits[0].tolist(), token)
                logits, state = model.step(np.array([token]), state)
            found[path] = math.exp(nats)
    return found


def paths(nodes: list[FanNode]) -> dict[tuple[int, ...], float]:
    """The probability of the path to each node; a node stands after its parent."""
    found: list[tuple[int, ...]] = []
    for place, node in enumerate(nodes):
        assert -1 <= node.parent < place
        found.append((*(found[node.parent] if node.parent >= 0 else ()), node.token))
    assert len(set(found)) == len(found)
    return dict(zip(found, [node.probability for node in nodes], strict=True))


def check_order(nodes: list[FanNode]) -> None:
    """By depth; the children of one parent stand together, by their ids."""
    depths: list[int] = []
    for node in nodes:
        depths.append(0 if node.parent < 0 else depths[node.parent] + 1)
    keys = [(depth, node.parent, node.token) for depth, node in zip(depths, nodes, strict=True)]
    assert keys == sorted(keys)


MARKOV = random_markov("abcd", 3)
ALL = every_path(MARKOV, [1], 4)


@given(depth=st.integers(1, 4), least=st.floats(1e-6, 0.5), most=st.integers(1, 400), banned=st.sets(st.integers(0, 3)))
@settings(max_examples=60, deadline=None)
def test_the_fan_is_the_likeliest_of_all_paths(depth: int, least: float, most: int, banned: set[int]) -> None:
    nodes = fan(MARKOV, prefill(MARKOV, [1]), depth=depth, least=least, most=most, banned=tuple(banned))
    check_order(nodes)
    allowed = {path: p for path, p in ALL.items() if len(path) <= depth and p >= least and not set(path) & banned}
    likeliest = dict(sorted(allowed.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:most])
    assert paths(nodes) == pytest.approx(likeliest)


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("backend", [engine_for, torch_backend_for])
def test_a_network_that_remembers_has_its_memory_frozen(backend: Any, rows: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    model = backend(remembering())
    expected = {path: p for path, p in every_path(model, PROMPT, 4).items() if p >= 0.003}
    found = paths(fan(model, prefill(model, PROMPT), depth=4, least=0.003))
    assert len(found) > 20
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_mix_has_a_fan() -> None:
    torch.manual_seed(1)
    size = {"vocab_size": 3, "hidden_size": 5, "num_layers": 1, "embedding_size": 3}
    one, other = (engine_for(CharLM(architecture(**size, cell=cell)).eval()) for cell in ("lstm", "gru"))
    both = MixedEngine([(one, 0.7), (other, 0.3)])
    expected = {path: p for path, p in every_path(both, [0, 2], 4).items() if p >= 0.01}
    assert paths(fan(both, prefill(both, [0, 2]), depth=4, least=0.01)) == pytest.approx(expected)


def test_the_probabilities_of_siblings_are_their_parents_as_far_as_they_are_listed() -> None:
    nodes = fan(MARKOV, prefill(MARKOV, [0]), depth=3, least=1e-30)
    for place, node in enumerate(nodes):
        children = [other.probability for other in nodes if other.parent == place]
        assert not children or sum(children) == pytest.approx(node.probability)
    assert sum(node.probability for node in nodes if node.parent == -1) == pytest.approx(1)


def test_of_equally_likely_paths_the_shorter_ones_are_kept() -> None:
    model = Markov(np.array([[50.0, -2000.0], [50.0, -2000.0]]))  # the first token is certain
    nodes = fan(model, prefill(model, [0]), depth=24, most=5)
    assert nodes == [FanNode(place - 1, 0, 1.0) for place in range(5)]
    assert len(fan(model, prefill(model, [0]))) == 24


def test_a_level_is_stepped_side_by_side_and_the_last_one_not_at_all() -> None:
    model = random_markov("abcd", 3)
    nodes = fan(model, prefill(model, [1]), depth=3, least=1e-30)
    assert len(nodes) == 4 + 16 + 64
    assert [len(tokens) for tokens in model.steps] == [1, 4, 16]


def test_nothing_likely_is_an_empty_fan() -> None:
    model = random_markov("abcd", 3, spread=0.01)
    assert fan(model, prefill(model, [1]), least=0.5) == []
    assert fan(model, prefill(model, [1]), banned=range(4)) == []


def test_an_unknown_symbol_is_left_out_and_makes_nothing_likelier() -> None:
    model = Markov(np.zeros((3, 3)), CharTokenizer("ab", unknown=True))
    assert fan(model, prefill(model, [0]), depth=1, banned=[2]) == [
        (-1, 0, pytest.approx(1 / 3)),
        (-1, 1, pytest.approx(1 / 3)),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "depth"), ({"depth": 1.5}, "depth"), ({"most": 0}, "most"), ({"least": 0}, "least"),
        ({"least": 1.1}, "least"), ({"least": math.nan}, "least"), ({"least": "a"}, "least"),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"`{message}="):
        fan(MARKOV, prefill(MARKOV, [0]), **settings)


def test_a_network_whose_numbers_are_not_finite_is_an_error() -> None:
    model = random_markov("abc")
    position = prefill(model, [0])
    model.table[1, 2] = np.nan
    with pytest.raises(CheckpointError, match="not finite"):
        fan(model, position, depth=2, least=1e-9)
