"""An ONNX graph as it grows: each node that is added returns the names of its results, the inputs of later nodes.

With ``is_int8`` each row of a matrix is stored as 8-bit integers and a scale of its own (`checkpoint.int8`), and
multiplied out in the graph: q · s. A runtime does that once, when it loads the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from charlstm.checkpoint.int8 import pack_matrix

TO_THE_END = np.iinfo(np.int64).max
"""The end of a slice that has none."""

_ZERO_POINT = 128


class Graph:
    """The nodes and the stored arrays of a graph.

    Args:
        is_int8: whether matrices are stored as 8-bit integers.
        prefix: of all names that are made up; a graph within another needs one.

    Attributes:
        nodes: in the order in which they are computed.
        arrays: what the file stores.
    """

    def __init__(self, is_int8: bool = False, prefix: str = "") -> None:
        self.is_int8, self._prefix = is_int8, prefix
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, operator: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add a node with one result.

        Args:
            operator: its name in the standard.
            inputs: the names of what it reads.
            result: the name of its result; empty makes one up.
            attributes: of the operator.

        Returns:
            The name of the result.
        """
        result = result or f"{self._prefix}{operator}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [result], **attributes))
        return result

    def add_recurrent(self, operator: str, inputs: Sequence[str], **attributes: Any) -> list[str]:
        """Add a node that returns all outputs of a layer, the last h and, if it is an LSTM, the last c.

        Args:
            operator: LSTM, DynamicQuantizeLSTM, GRU or RNN.
            inputs: the names of what it reads; an empty one is left out.
            attributes: of the operator.

        Returns:
            The names of the results.
        """
        parts = ("outputs", "h", "c") if "LSTM" in operator else ("outputs", "h")
        results = [f"{self._prefix}{operator}.{len(self.nodes)}.{part}" for part in parts]
        self.nodes.append(helper.make_node(operator, inputs, results, **attributes))
        return results

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Store an array.

        Args:
            name: its name.
            array: of any type that ONNX has.

        Returns:
            Its name.
        """
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """Store a number or a short list; equal ones are stored once.

        Args:
            value: the number or list.
            dtype: its type.

        Returns:
            Its name.
        """
        array = np.array(value, dtype)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.store(f"{self._prefix}constant.{len(self._constants)}", array)
        return self._constants[key]

    def matrix(self, name: str, matrix: NDArray[Any], *, transposed: bool = False, leading: bool = False) -> str:
        """Store a matrix, and multiply it out if it is stored as integers.

        Args:
            name: its name in the checkpoint.
            matrix: (R, C).
            transposed: make it (C, R), as products with it from the right need it.
            leading: make it (1, R, C), as recurrent operators need it.

        Returns:
            The name of the matrix in float32.
        """

        def laid_out(array: NDArray[Any]) -> NDArray[Any]:
            array = array.T if transposed else array
            return array[None] if leading else array

        if not self.is_int8:
            return self.store(name, laid_out(matrix))
        integers, scales = pack_matrix(matrix)
        stored = self.store(name, laid_out(integers))
        return self.add("Mul", self._as_float(stored), self.store(f"{name}.scale", laid_out(scales[:, None])))

    def look_up(self, name: str, table: NDArray[Any], rows: str) -> str:
        """Store a table, and take rows of it.

        Args:
            name: the table's name in the checkpoint.
            table: (R, C).
            rows: the name of the row numbers (…).

        Returns:
            The name of the rows, (…, C).
        """
        if not self.is_int8:
            return self.add("Gather", self.store(name, table), rows)
        integers, scales = pack_matrix(table)
        taken = self._as_float(self.add("Gather", self.store(name, integers), rows))
        return self.add("Mul", taken, self.add("Gather", self.store(f"{name}.scale", scales[:, None]), rows))

    def unsigned(self, name: str, matrix: NDArray[Any]) -> tuple[str, str, str]:
        """Store a matrix as DynamicQuantizeLSTM takes it.

        The integers are unsigned, 128 more than those of `matrix`: products of unsigned with signed ones overflow on
        processors without VNNI instructions, and are wrong by far.

        Args:
            name: its name in the checkpoint.
            matrix: (R, C).

        Returns:
            The names of the integers, (1, C, R), and of the scale and the zero point of each row, (1, R).
        """
        integers, scales = pack_matrix(matrix)
        shifted = (integers.T.astype(np.int16) + _ZERO_POINT).astype(np.uint8)[None]
        zero_points = np.full((1, len(matrix)), _ZERO_POINT, np.uint8)
        return (
            self.store(name, shifted),
            self.store(f"{name}.scale", scales[None]),
            self.store(f"{name}.zero_point", zero_points),
        )

    def linear(self, x: str, name: str, matrix: NDArray[Any]) -> str:
        """Add the product W x of a matrix with the last axis of x.

        Args:
            x: the name of (…, C).
            name: the matrix's name in the checkpoint.
            matrix: W, (R, C).

        Returns:
            The name of the result, (…, R).
        """
        return self.add("MatMul", x, self.matrix(name, matrix, transposed=True))

    def cut(self, x: str, begin: int, end: int, axis: int, result: str = "") -> str:
        """Add a slice along one axis.

        Args:
            x: the name of what is cut.
            begin: where it begins; below 0 counts from the end.
            end: where it ends; below 0 counts from the end.
            axis: along which it is cut.
            result: the name of the result; empty makes one up.

        Returns:
            The name of the result.
        """
        return self.add("Slice", x, *(self.constant([number]) for number in (begin, end, axis)), result=result)

    def insert_axis(self, x: str, axis: int) -> str:
        """Add an axis of length 1.

        Args:
            x: the name of what gets it.
            axis: its place.

        Returns:
            The name of the result.
        """
        return self.add("Unsqueeze", x, self.constant([axis]))

    def drop_axis(self, x: str, axis: int, result: str = "") -> str:
        """Remove an axis of length 1.

        Args:
            x: the name of what loses it.
            axis: its place.
            result: the name of the result; empty makes one up.

        Returns:
            The name of the result.
        """
        return self.add("Squeeze", x, self.constant([axis]), result=result)

    def _as_float(self, integers: str) -> str:
        return self.add("Cast", integers, to=TensorProto.FLOAT)


class Integers:
    """An array of non-negative 64-bit integers in a graph: computing with it adds nodes.

    So what is written for Python integers and tensors, such as `nn.side_inputs.hashing`, also writes graphs.

    Args:
        graph: gets the nodes.
        name: of the array.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self.name = graph, name

    def __add__(self, other: Integers | int) -> Integers:
        return self._with("Add", other)

    def __mul__(self, other: Integers | int) -> Integers:
        return self._with("Mul", other)

    def __floordiv__(self, other: int) -> Integers:
        return self._with("Div", other)

    def __mod__(self, other: int) -> Integers:
        return self._with("Mod", other)

    def __and__(self, other: int) -> Integers:
        return self._with("BitwiseAnd", other)

    def __xor__(self, other: Integers) -> Integers:
        return self._with("BitwiseXor", other)

    def __lshift__(self, bits: int) -> Integers:
        return self * (1 << bits)

    def __rshift__(self, bits: int) -> Integers:
        return self // (1 << bits)  # the standard shifts only unsigned integers

    def __eq__(self, other: Integers) -> Integers:  # type: ignore[override]
        equal = self._graph.add("Equal", self.name, other.name)
        return Integers(self._graph, self._graph.add("Cast", equal, to=TensorProto.INT64))

    __hash__ = None  # type: ignore[assignment]

    def _with(self, operator: str, other: Integers | int) -> Integers:
        name = other.name if isinstance(other, Integers) else self._graph.constant(other)
        return Integers(self._graph, self._graph.add(operator, self.name, name))
