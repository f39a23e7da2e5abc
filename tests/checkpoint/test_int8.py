"""8-bit weights: near to the originals, the same file however often they are copied, and checked like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from charlstm.checkpoint import container
from charlstm.checkpoint.copying import copy
from charlstm.checkpoint.format import check_model, convert, read, read_header, read_model_header, verify, write
from charlstm.checkpoint.int8 import pack, packed_names, unpack
from charlstm.checkpoint.store import Store
from charlstm.checkpoint.summary import dtype_of
from charlstm.errors import CorruptError
from tests.checkpoint_samples import model, run

weights = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-(2.0**60), 2.0**60, width=32),
)


@given(weights)
def test_a_row_is_off_by_half_its_scale_at_most_and_packing_again_changes_nothing(matrix: np.ndarray) -> None:
    packed = pack({"matrix": matrix})
    assert packed["matrix"].dtype == np.int8
    scale = (packed["matrix.scale"].astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    unpacked = unpack(packed)["matrix"]
    assert unpacked.dtype == np.float32
    assert (np.abs(unpacked.astype(np.float64) - matrix) <= scale[:, None] * 0.5000001 + 2.0**-100).all()
    largest = np.abs(matrix).max(1).astype(np.float64)
    assert (scale >= largest / 127 * (1 - 2.0**-8) - 2.0**-100).all()
    assert (scale <= largest / 127 * (1 + 2.0**-8)).all()
    again = pack({"matrix": unpacked})
    assert (again["matrix"] == packed["matrix"]).all()
    assert (again["matrix.scale"] == packed["matrix.scale"]).all()


def test_vectors_stay_and_what_does_not_fit_is_left_alone() -> None:
    vector = np.float32([1 / 3, 1e-20])
    assert (pack({"bias": vector})["bias"] == vector).all()
    odd = {"a": np.ones((2, 2), np.int8), "a.scale": np.ones(3, np.uint16), "b.scale": np.ones(2, np.uint16)}
    assert unpack(odd).keys() == odd.keys()
    assert packed_names({"a": (True, (2, 2)), "a.scale": (False, (2,))}) == ["a"]
    assert packed_names({"a": (False, (2, 2)), "a.scale": (False, (2,))}) == []


def test_a_file_of_a_quarter_of_the_size(tmp_path: Path) -> None:
    whole = model(hidden=64)
    small = convert(whole, "int8")
    check_model(small)
    write(tmp_path / "whole", whole)
    write(tmp_path / "small", small)
    matrices = sum(tensor.nbytes for tensor in whole.tensors.values() if tensor.ndim == 2)
    rows = sum(len(tensor) for tensor in whole.tensors.values() if tensor.ndim == 2)
    saved = (tmp_path / "whole").stat().st_size - (tmp_path / "small").stat().st_size
    assert abs(saved - (matrices * 3 // 4 - 2 * rows)) < 1500  # the header has an entry for the scales of each matrix
    found = verify(tmp_path / "small")
    assert found.is_int8
    for name, tensor in found.tensors.items():
        assert tensor.dtype == np.float32
        assert (tensor == small.tensors[name]).all()
        np.testing.assert_allclose(tensor, whole.tensors[name], atol=np.abs(whole.tensors[name]).max() / 251)
    header = read_model_header(tmp_path / "small")
    assert dtype_of(header) == "int8"
    assert header.parameters == read_header(tmp_path / "whole").parameters
    assert not any(name.endswith(".scale") for name in header.tensors)


def test_a_copy_keeps_the_type_and_another_type_can_be_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, "first")
    small = copy(store, "first", str(tmp_path / "small.safetensors"), dtype="int8")
    again = copy(store, str(small), str(tmp_path / "again.safetensors"))
    assert again.read_bytes() == small.read_bytes()
    back = read(copy(store, str(small), str(tmp_path / "back.safetensors"), dtype="float32"))
    assert not back.is_int8
    assert {tensor.dtype for tensor in back.tensors.values()} == {np.dtype(np.float32)}
    assert dtype_of(read_header(tmp_path / "back.safetensors")) == "float32"


def test_a_file_without_its_scales_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "file"
    small = convert(model(), "int8")
    write(path, small)
    with container.opened(path) as file:
        header = container.read_header(file, path)
        tensors = container.read_tensors(file, header, path)
    tensors["head.weight.scale"] = np.ones(3, np.uint16)
    container.write(path, tensors, {name: each for name, each in header.metadata.items() if name != "sha256"})
    for check in (verify, read_model_header):
        with pytest.raises(CorruptError, match=r"head\.weight"):
            check(path)
    write(path, replace(small, is_int8=False))
    assert not verify(path).is_int8
