"""What counts as running out of memory, whoever reports it."""

from __future__ import annotations

import pytest
import torch

from charlstm.errors import is_out_of_memory


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("could not create a primitive"),
    ],
    ids=repr,
)
def test_memory_that_ran_out_is_recognised(fault: BaseException) -> None:
    assert is_out_of_memory(fault)


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), ImportError("no module"), ValueError("allocate memory")])
def test_other_errors_are_not_taken_for_it(fault: BaseException) -> None:
    assert not is_out_of_memory(fault)
