"""The number of BLAS threads: quick, giving way, and nothing a result depends on."""

import numpy as np
import pytest

from charlstm.engine import auto_threads
from charlstm.engine.auto_threads import AutoThreadsEngine
from charlstm.engine.network import Engine
from charlstm.engine.state import map_arrays
from charlstm.nn.shapes import tensor_shapes
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture


class Library:
    """Stands in for a BLAS with a pool of four threads."""

    num_threads = 4

    def __init__(self):
        self.sets = []

    def set_num_threads(self, threads):
        self.sets.append(threads)
        self.num_threads = threads


@pytest.fixture
def library(monkeypatch):
    fake = Library()

    class Controller:
        lib_controllers = (fake,)

        def select(self, **wanted):
            assert wanted == {"user_api": "blas"}
            return self

    monkeypatch.setattr(auto_threads, "ThreadpoolController", Controller)
    monkeypatch.setattr(auto_threads, "cores", lambda: 3)
    auto_threads.blas_threads.cache_clear()
    yield fake
    auto_threads.blas_threads.cache_clear()


def engine(kind=AutoThreadsEngine, hidden=16, **further):
    tokenizer = CharTokenizer("abcdefg")
    shape = architecture(
        vocab_size=tokenizer.vocab_size, embedding_size=8, hidden_size=hidden, num_layers=2,
        ngram_order=2, ngram_buckets=16, match_orders=[2], match_slots=16,
    )  # fmt: skip
    random = np.random.default_rng(0)
    tensors = {name: random.normal(0, 0.3, size).astype(np.float32) for name, size in tensor_shapes(shape)}
    return kind(shape, tensors, tokenizer, **further)


def used(library, stepper, rows, steps=40):
    """The number of threads that each of some steps ended with."""
    tokens, state, threads = np.arange(rows) % 7, None, []
    for _ in range(steps):
        _, state = stepper.step(tokens, state)
        threads.append(library.num_threads)
    return threads


def test_narrow_networks_use_one_thread(library):
    assert set(used(library, engine(), 3)) == {1}
    assert library.sets == [1]


@pytest.mark.parametrize(("rows", "most"), [(1, 2), (8, 2), (9, 3)])
def test_large_steps_use_several_threads_after_the_warmup(library, monkeypatch, rows, most):
    monkeypatch.setattr(auto_threads, "_MIN_PRODUCTS", 100)
    monkeypatch.setattr(auto_threads, "_JUDGE_SECONDS", 1e9)
    threads = used(library, engine(), rows, auto_threads._WARMUP_STEPS - 1 + auto_threads._JUDGE_STEPS)
    assert threads[: auto_threads._WARMUP_STEPS - 1] == [1] * (auto_threads._WARMUP_STEPS - 1)
    assert set(threads[auto_threads._WARMUP_STEPS - 1 :]) == {most}


def test_the_environment_may_allow_less(library, monkeypatch):
    monkeypatch.setattr(auto_threads, "_MIN_PRODUCTS", 100)
    library.num_threads = 1
    assert set(used(library, engine(), 9)) == {1}


def test_without_a_controllable_library_nothing_changes(library, monkeypatch):
    monkeypatch.setattr(auto_threads, "_MIN_PRODUCTS", 100)
    monkeypatch.setattr(auto_threads.ThreadpoolController, "lib_controllers", ())
    used(library, engine(), 9)
    assert library.sets == []


def test_two_engines_take_turns_with_the_threads_of_their_process(library):
    for asked, stepper in ((1, engine(threads=1)), (2, engine(threads=2))) * 2:
        assert set(used(library, stepper, 1)) == {asked}


@pytest.mark.parametrize("asked", [1, 2, 5])
def test_a_fixed_number_of_threads_is_used(library, asked):
    assert set(used(library, engine(threads=asked), 1)) == {asked}


@pytest.mark.parametrize(("rows", "most", "settled"), [(1, 4, 1), (9, 2, 2), (9, 4, 4)])
def test_where_bits_depend_on_threads_their_number_never_changes(library, monkeypatch, rows, most, settled):
    monkeypatch.setattr(auto_threads, "_MIN_PRODUCTS", 100)
    monkeypatch.setattr(auto_threads, "cores", lambda: most)
    monkeypatch.setattr(auto_threads, "_JUDGE_SECONDS", 0.0)  # every step would be judged
    step = Engine.step

    def rounded_by_threads(self, tokens, state):
        logits, after = step(self, tokens, state)
        return logits, map_arrays(lambda part: part * np.float32(1 + 1e-6 * (library.num_threads == 2)), after)

    monkeypatch.setattr(Engine, "step", rounded_by_threads)
    threads = used(library, engine(), rows, 200)
    assert set(threads[: auto_threads._WARMUP_STEPS - 1]) == {1}
    assert set(threads[auto_threads._WARMUP_STEPS - 1 :]) == {settled}


def test_it_uses_fewer_threads_on_a_busy_machine_with_equal_results(library, monkeypatch):
    monkeypatch.setattr(auto_threads, "_MIN_PRODUCTS", 100)
    monkeypatch.setattr(auto_threads, "_JUDGE_STEPS", 2)
    stepper, plain = engine(), engine(Engine)
    after = before = None
    threads = []
    for _ in range(60):
        logits, after = stepper.step(np.array([3]), after)
        expected, before = plain.step(np.array([3]), before)
        assert np.array_equal(logits, expected)
        threads.append(library.num_threads)
    assert {1, 2} <= set(threads[auto_threads._WARMUP_STEPS :])
