"""Threads may share a model: each writes and fills what it would alone."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

import charlstm
from charlstm.errors import IncompatibleError
from tests.api.networks import random_model

THREADS, LENGTH = 4, 2000

SIDE_INPUTS = {"ngram_order": 3, "ngram_buckets": 64, "match_orders": (3,), "match_slots": 64}
CAUSAL = {
    "starter": lambda: charlstm.load("starter"),
    "ensemble with side inputs": lambda: random_model(ensemble=2, num_layers=2, **SIDE_INPUTS),
    "attention": lambda: random_model(attention_window=8, cell="gru"),
    "peephole with skip connections": lambda: random_model(cell="peephole", num_layers=2, skip_connections=True),
}


def at_once(calls):
    """What each call returns, all of them begun at the same moment, each in a thread of its own."""
    barrier = Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind == "starter" else []) for kind in CAUSAL]
)
def test_texts_written_at_once_are_those_written_alone(kind):
    model = CAUSAL[kind]()
    write = [partial(model.generate, length=LENGTH, seed=seed, temperature=1.0) for seed in range(THREADS)]
    together = at_once(write)
    assert together == [call() for call in write]
    assert len(set(together)) == THREADS


def test_blanks_filled_at_once_are_those_filled_alone():
    model = random_model(bidirectional=True)
    texts = ["ab__ de {2-4} a", "h_ga {3} bb", "____ {1-3} cab", "a{5}b c__ g"]
    fill = [partial(model.fill, text * 3, count=3, candidates=20) for text in texts]
    assert at_once(fill) == [call() for call in fill]
    with pytest.raises(IncompatibleError):
        model.generate()


def test_different_calls_on_one_model_do_not_disturb_each_other():
    model = random_model(ensemble=2, **SIDE_INPUTS)
    calls = [
        partial(model.generate, length=LENGTH, seed=1),
        partial(model.fill, "ab {2-4} de __ ab {3} d", candidates=20),
        lambda: model.score("abc def gha\n" * 40).nats.tolist(),
        lambda: [model.next("abc de"[:count]) for count in range(7)] * 10,
    ]
    assert at_once(calls) == [call() for call in calls]
