"""Products of 8-bit numbers: exact but for their rounding, whatever the number of texts; and when they are chosen."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

from charlstm.engine import products
from charlstm.engine.load import writing_precision
from charlstm.engine.network import Engine
from charlstm.engine.products import Float32Product, Int8Product
from charlstm.errors import UsageError
from charlstm.nn.shapes import CELLS, tensor_shapes
from charlstm.tokenizers import CharTokenizer
from tests.networks import architecture

needs_numkong = pytest.mark.skipif(not importlib.util.find_spec("numkong"), reason="needs numkong")


@pytest.fixture
def without_numkong(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    products.has_int8.cache_clear()
    monkeypatch.setattr(products, "find_spec", lambda name: None)
    yield
    products.has_int8.cache_clear()


def multiplied(kind: type[Float32Product] | type[Int8Product], weight: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    product = kind(weight)
    rows = inputs.shape[:-1]
    out = np.empty((*rows, len(weight)), np.float32)
    product(inputs, out, product.buffers(rows))
    return out


@needs_numkong
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 1), (5, 3), (64, 100), (256, 577)])
@pytest.mark.parametrize("rows", [(), (2,), (7,), (70,)])
def test_only_rounding_is_lost(outputs: int, inputs: int, rows: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    weight = random.normal(size=(outputs, inputs)).astype(np.float32)
    values = random.normal(size=(*rows, inputs)).astype(np.float32)
    row_scale, scale = np.abs(weight).max(1) / 127, np.abs(values).max(-1, keepdims=True) / 127
    apart = np.abs(multiplied(Int8Product, weight, values) - multiplied(Float32Product, weight, values))
    half_a_step = np.abs(values).sum(-1, keepdims=True) * row_scale + scale * np.abs(weight).sum(1)
    assert (apart <= (half_a_step + inputs * scale * row_scale / 2) / 2 + 1e-5).all()


@needs_numkong
@pytest.mark.parametrize("rows", [(), (3,), (65,)])
def test_what_needs_no_rounding_is_exact(rows: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    weight, values = random.integers(-127, 128, (30, 200)), random.integers(-127, 128, (*rows, 200))
    weight[:, 7], values[..., 9] = 127, -127  # so that all scales are 1
    product = multiplied(Int8Product, weight.astype(np.float32), values.astype(np.float32))
    np.testing.assert_array_equal(product, values @ weight.T)


@needs_numkong
def test_zeros_are_zeros_and_the_number_of_texts_changes_no_bit() -> None:
    random = np.random.default_rng(1)
    weight = random.normal(size=(12, 40)).astype(np.float32)
    weight[3] = 0
    values = random.normal(size=(9, 40)).astype(np.float32)
    values[4] = 0
    together = multiplied(Int8Product, weight, values)
    assert not together[:, 3].any()
    assert not together[4].any()
    for row, value in zip(together, values, strict=True):
        np.testing.assert_array_equal(multiplied(Int8Product, weight, value), row)


@needs_numkong
def test_inputs_out_of_range_do_not_pass_as_numbers() -> None:
    weight, values = np.ones((3, 4), np.float32), np.array([1, np.inf, 0, 2], np.float32)
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(multiplied(Int8Product, weight, values)).any()


def engine(precision: products.Precision, **shape: object) -> Engine:
    config = architecture(
        **{"vocab_size": 5, "embedding_size": 8, "hidden_size": 48, "num_layers": 2, "match_orders": (2,), **shape}
    )
    random = np.random.default_rng(0)
    tensors = {name: random.normal(0, 0.2, size).astype(np.float32) for name, size in tensor_shapes(config)}
    return Engine(config, tensors, CharTokenizer("abcde"), precision)


@needs_numkong
@pytest.mark.parametrize(
    "shape", [*({"cell": cell} for cell in CELLS), {"skip_connections": True, "ensemble": 2}, {"attention_window": 4}]
)
def test_a_network_computes_nearly_the_same(shape: dict[str, object]) -> None:
    near, exact = engine("int8", **shape), engine("fp32", **shape)
    states, apart = [None, None], 0.0
    for token in (0, 3, 1, 1, 4, 2, 0, 3):
        near_logits, states[0] = near.step([token], states[0])
        logits, states[1] = exact.step([token], states[1])
        apart = max(apart, float(np.abs(near_logits - logits).max()))
    assert 0 < apart < 0.1


def test_wide_networks_write_in_int8_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow, wide = (architecture(vocab_size=5, hidden_size=size) for size in (64, 512))
    monkeypatch.setattr("charlstm.engine.load.has_int8", lambda: True)
    assert [writing_precision(each) for each in (narrow, wide)] == ["fp32", "int8"]
    assert writing_precision(wide, "fp32") == "fp32"
    assert writing_precision(architecture(vocab_size=5, hidden_size=512, bidirectional=True)) == "fp32"


@pytest.mark.usefixtures("without_numkong")
def test_without_the_package_everything_is_in_fp32_and_int8_is_one_line() -> None:
    wide = architecture(vocab_size=5, hidden_size=512)
    assert writing_precision(wide) == "fp32"
    for ask in (lambda: writing_precision(wide, "int8"), lambda: engine("int8")):
        with pytest.raises(UsageError, match=r"needs numkong.*pip install numkong"):
            ask()


@needs_numkong
def test_a_narrow_network_writes_in_int8_when_it_is_asked_to() -> None:
    assert writing_precision(architecture(vocab_size=5, hidden_size=8), "int8") == "int8"
