"""Fused kernels: whole windows of recurrent cells as custom autograd functions.

There is one input product for all steps, one recurrent product per step, and one product for the gradient of each
matrix. The recurrent matrix is the same at every step: on a CPU oneDNN reorders it once per window into the layout its
product reads fastest, which makes the product up to three times as fast. Each gate is an array of its own, (T, B, H),
so that an elementwise operation at one step reads one block of memory.

In the backward pass the gradient of a gate is the gradient of h or of c times a factor that does not depend on either.
The factors of many steps are computed together, which leaves few operations per step. They are named after their
target: ``to_f`` leads to the gradient of f's pre-activation.

Under autocast products are computed in its type; states, sums and activations keep the type of the weights.

Letters: G gates; time comes first, as in `recurrence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlstm.nn.state import LayerState

_BLOCK = 1 << 17
"""Elements of an array of factors: this many stay in a core's own cache until they are used."""

_FEW_STEPS, _FEW_WEIGHTS = 8, 1 << 17
"""With fewer steps in a window or fewer weights in the matrix, reordering it costs more than it saves."""


class WindowFunction(Protocol):
    """Applies a cell to a whole window."""

    def __call__(self, inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...], /) -> tuple[Tensor, LayerState]:
        """Run a cell over a window.

        Args:
            inputs: (T, B, D).
            state: the initial state, each part (B, H).
            weights: of the layer, in the order of `shapes.CELLS`.

        Returns:
            The hidden states, (T, B, H), and the final state.
        """


def rnn(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.rnn`."""
    outputs, h = _Rnn.apply(inputs, *state, *weights)  # type: ignore[no-untyped-call]
    return outputs, (h,)


def gru(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.gru`."""
    outputs, h = _Gru.apply(inputs, *state, *weights)  # type: ignore[no-untyped-call]
    return outputs, (h,)


def lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.lstm`."""
    outputs, h, c = _Lstm.apply(inputs, *state, *weights, None)  # type: ignore[no-untyped-call]
    return outputs, (h, c)


def peephole(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """See `WindowFunction`: `cells.peephole`."""
    outputs, h, c = _Lstm.apply(inputs, *state, *weights)  # type: ignore[no-untyped-call]
    return outputs, (h, c)


class _Rnn(torch.autograd.Function):
    """h = tanh(W x + U h' + b)."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, h: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.product = _product_type(weight_hh)
        z = _from_inputs(inputs, weight_ih, bias, h.shape[1], ctx.product)[0]
        hs, recurrent = _history(h, len(inputs)), _Product(weight_hh, inputs, ctx.product)
        for sums, h_prev, h_next in zip(z.unbind(), hs.unbind(), hs[1:].unbind(), strict=False):
            recurrent.add_to(sums, h_prev)
            torch.tanh(sums, out=h_next)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, hs)
        return hs[1:], hs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, hs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(weight_hh.t(), inputs, ctx.product)
        dz, d_next, one = torch.empty_like(hs[1:], dtype=ctx.product), None, hs.new_ones(())
        for block in _blocks(hs[1:]):
            h = hs[1:][block]
            to_z = torch.addcmul(one, h, h, value=-1)
            for dh_step, factor, d_sums in _backwards(dh[block], to_z, dz[block]):
                if d_next is not None:
                    recurrent.add_to(dh_step, d_next)
                d_next = torch.mul(factor, dh_step, out=d_sums)
        d_initial = _initial_gradient(d_next, recurrent, dh)
        d_inputs = _to_inputs(dz, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        return d_inputs, d_initial, *_weight_gradients(dz, dz, inputs, hs), _bias_gradient(dz, hs)


class _Lstm(torch.autograd.Function):
    """The LSTM; with ``peephole`` i and f also read the previous cell state, o the new one."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        h: Tensor,
        c: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        peephole: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.product = _product_type(weight_hh)
        gates = _from_inputs(inputs, weight_ih, bias, h.shape[1], ctx.product)
        hs, cs = _history(h, len(inputs)), _history(c, len(inputs))
        recurrent, tanh_cs = _Product(weight_hh, inputs, ctx.product), torch.empty_like(cs[1:])
        peep = None if peephole is None else peephole.view(3, 1, -1)
        steps = zip(
            *(whole.unbind(1) for whole in (gates, gates[:2])),
            *(whole.unbind() for whole in (*gates, hs, cs, hs[1:], cs[1:], tanh_cs)),
            strict=False,  # hs and cs also have the initial state
        )
        for sums, i_f, i, f, g, o, h_prev, c_prev, h_next, c_next, tanh_c in steps:
            sums.add_(_by_gate(recurrent(h_prev), 4))
            if peep is not None:
                i_f.addcmul_(peep[:2], c_prev)
            i_f.sigmoid_()
            g.tanh_()
            torch.mul(f, c_prev, out=c_next).addcmul_(i, g)
            if peep is not None:
                o.addcmul_(peep[2], c_next)
            o.sigmoid_()
            torch.mul(o, torch.tanh(c_next, out=tanh_c), out=h_next)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs)
        return hs[1:], hs[-1].clone(), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(weight_hh.t(), inputs, ctx.product)
        dc, dz, d_next = d_c.clone(), _rows(gates, ctx.product), None
        d_gates = torch.empty_like(gates[:, 0])
        d_ifg, d_o = d_gates[:3], d_gates[3]
        peep = None if peephole is None else peephole.view(3, 1, -1)
        d_peep = torch.zeros_like(d_ifg)
        for block in _blocks(tanh_cs):
            factors = _Lstm._factors(gates[:, block], hs[1:][block], cs[:-1][block], tanh_cs[block], peep)
            to_ifg, *others = factors
            steps = _backwards(dh[block], to_ifg.transpose(0, 1), *others, dz[block], cs[:-1][block], cs[1:][block])
            for dh_step, to_ifg, to_o, to_c, to_c_prev, d_sums, c_prev, c_next in steps:
                if d_next is not None:
                    recurrent.add_to(dh_step, d_next)
                dc.addcmul_(dh_step, to_c)
                torch.mul(to_ifg, dc, out=d_ifg)
                torch.mul(to_o, dh_step, out=d_o)
                dc.mul_(to_c_prev)
                if peep is not None:
                    d_peep[:2].addcmul_(d_ifg[:2], c_prev)
                    d_peep[2].addcmul_(d_o, c_next)
                d_next = d_sums.copy_(d_gates.transpose(0, 1)).flatten(1)
        flat = dz.flatten(2)
        d_inputs = _to_inputs(flat, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        d_peephole = None if peep is None else d_peep.sum(1).flatten()
        weights = _weight_gradients(flat, flat, inputs, hs)
        return d_inputs, _initial_gradient(d_next, recurrent, dh), dc, *weights, _bias_gradient(flat, hs), d_peephole

    @staticmethod
    def _factors(
        gates: Tensor, h: Tensor, c_prev: Tensor, tanh_c: Tensor, peep: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the factors dc → pre-activations of i f g, dh → pre-activation of o, dh → c, dc → previous c."""
        i, f, g, o = gates
        to_ifg = torch.empty_like(gates[:3])
        written, kept = i * g, f * c_prev
        torch.addcmul(written, written, i, value=-1, out=to_ifg[0])  # g i (1 - i)
        torch.addcmul(kept, kept, f, value=-1, out=to_ifg[1])  # c' f (1 - f)
        torch.addcmul(i, written, g, value=-1, out=to_ifg[2])  # i (1 - g²)
        to_o = torch.addcmul(h, h, o, value=-1)  # tanh(c) o (1 - o)
        to_c = torch.addcmul(o, h, tanh_c, value=-1)  # o (1 - tanh(c)²)
        if peep is None:
            return to_ifg, to_o, to_c, f
        to_c.addcmul_(to_o, peep[2])
        to_c_prev = torch.addcmul(f, to_ifg[0], peep[0]).addcmul_(to_ifg[1], peep[1])
        return to_ifg, to_o, to_c, to_c_prev


class _Gru(torch.autograd.Function):
    """The GRU. Its sums are in the order q r z n: q = U_n h' + d_n is the recurrent term of n, n its input term.

    So the recurrent product adds to the first three, and the input product to the last three.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, h: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, bias_n: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.product = _product_type(weight_hh)
        z = weight_hh.new_empty(4, *inputs.shape[:2], weight_hh.shape[1])
        z[0] = bias_n
        z[1:] = _from_inputs(inputs, weight_ih, bias, h.shape[1], ctx.product)
        hs, recurrent = _history(h, len(inputs)), _Product(_q_first(weight_hh), inputs, ctx.product)
        steps = zip(
            *(whole.unbind(1) for whole in (z[:3], z[1:3])),
            *(whole.unbind() for whole in (*z, hs, hs[1:])),
            strict=False,
        )
        for sums, r_z, q, r, z_gate, n, h_prev, h_next in steps:
            sums.add_(_by_gate(recurrent(h_prev), 3))
            r_z.sigmoid_()
            n.addcmul_(r, q).tanh_()
            torch.lerp(n, h_prev, z_gate, out=h_next)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, z, hs)
        return hs[1:], hs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, z, hs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(_q_first(weight_hh).t(), inputs, ctx.product)
        dz, d_next, d_sums = _rows(z, ctx.product), None, torch.empty_like(z[:, 0])
        dh_prev = torch.zeros_like(hs[0])
        for block in _blocks(hs[1:]):
            factors, z_gate = _Gru._factors(z[:, block], hs[:-1][block])
            for dh_step, factor, to_h_prev, d_all in _backwards(dh[block], factors.transpose(0, 1), z_gate, dz[block]):
                if d_next is not None:
                    recurrent.add_to(dh_step.add_(dh_prev), d_next)
                d_all.copy_(torch.mul(factor, dh_step, out=d_sums).transpose(0, 1))
                torch.mul(to_h_prev, dh_step, out=dh_prev)
                d_next = d_all[:, :3].flatten(1)
        flat, hidden = dz.flatten(2), weight_hh.shape[1]
        from_inputs, summed = flat[..., hidden:], flat[..., : 3 * hidden]
        d_inputs = _to_inputs(from_inputs, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        d_ih, d_hh = _weight_gradients(from_inputs, summed, inputs, hs)
        sums = _bias_gradient(flat, hs)
        d_initial = _initial_gradient(d_next, recurrent, dh) + dh_prev
        return d_inputs, d_initial, d_ih, d_hh.roll(-hidden, 0), sums[hidden:], sums[:hidden]

    @staticmethod
    def _factors(z: Tensor, h_prev: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors dh → sums q r z n, and dh → previous h."""
        q, r, z_gate, n = z
        factors = torch.empty_like(z)
        to_q, to_r, to_z, to_n = factors
        one_minus_z = 1 - z_gate
        torch.addcmul(one_minus_z, one_minus_z * n, n, value=-1, out=to_n)  # (1 - z) (1 - n²)
        torch.mul(to_n, r, out=to_q)
        gated = to_q * q
        torch.addcmul(gated, gated, r, value=-1, out=to_r)
        change = (h_prev - n).mul_(z_gate)
        torch.addcmul(change, change, z_gate, value=-1, out=to_z)
        return factors, z_gate


# ---- shared by all cells ----------------------------------------------------------------------------------------


def _product_type(weight: Tensor) -> torch.dtype:
    """Return the type of matrix products: that of autocast where it is enabled."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


class _Product:
    """x → x Wᵀ for every step of a window; x (B, columns of W), computed in the type of products.

    oneDNN's layouts have no public API in torch. Without them, or without processor support for the type, torch's own
    product is used.
    """

    def __init__(self, weight: Tensor, inputs: Tensor, product: torch.dtype) -> None:
        self._weight, self._type, self._reordered = weight.to(product), product, None
        supported = weight.device.type == "cpu" and product in (torch.float32, torch.bfloat16)
        if supported and len(inputs) >= _FEW_STEPS and weight.numel() >= _FEW_WEIGHTS:
            with suppress(AttributeError, RuntimeError):
                reorder, self._multiply = torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise
                self._reordered = reorder(self._weight.contiguous(), inputs.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        if self._reordered is None:
            return x.to(self._type) @ self._weight.t()
        product: Tensor = self._multiply(x.to(self._type), self._reordered, None, "none", [], "")
        return product

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add x Wᵀ to a sum in place.

        Args:
            total: the sum, (B, rows of W).
            x: (B, columns of W).
        """
        if self._reordered is None and total.dtype == self._type:
            total.addmm_(x, self._weight.t())
        else:
            total.add_(self(x))


def _from_inputs(inputs: Tensor, weight: Tensor, bias: Tensor, hidden: int, product: torch.dtype) -> Tensor:
    """Return W x + b for all steps, gate by gate: (G, T, B, H)."""
    gates = weight.to(product).view(-1, hidden, weight.shape[1])
    sums = torch.bmm(inputs.flatten(0, 1).to(product).expand(len(gates), -1, -1), gates.transpose(1, 2))
    return (sums + bias.view(-1, 1, hidden)).view(-1, *inputs.shape[:2], hidden)  # in the type of the bias


def _by_gate(sums: Tensor, gates: int) -> Tensor:
    """View (B, G · H) as (G, B, H)."""
    return sums.view(len(sums), gates, -1).transpose(0, 1)


def _rows(gates: Tensor, product: torch.dtype) -> Tensor:
    """Allocate the gradients of all sums, transposed from (G, T, B, H) to (T, B, G, H), as products read them."""
    count, time, batch, hidden = gates.shape
    return gates.new_empty(time, batch, count, hidden, dtype=product)


def _history(initial: Tensor, time: int) -> Tensor:
    """Allocate one part of the state for all steps, (T + 1, B, H), with the initial state at index 0."""
    states = initial.new_empty(time + 1, *initial.shape)
    states[0] = initial
    return states


def _incoming(d_outputs: Tensor, d_h: Tensor) -> Tensor:
    """Return the gradient of each h from the layer above, for the last step also from the next window: (T, B, H)."""
    dh = d_outputs.clone(memory_format=torch.contiguous_format)
    dh[-1] += d_h
    return dh


def _q_first(weight_hh: Tensor) -> Tensor:
    """Reorder the rows r z n to n r z."""
    return weight_hh.roll(weight_hh.shape[1], 0)


def _blocks(whole: Tensor) -> Iterator[slice]:
    """Yield slices of time from the last to the first, short enough for the factors of one to stay in the cache."""
    steps = max(1, _BLOCK // whole[0].numel())
    for end in range(len(whole), 0, -steps):
        yield slice(max(0, end - steps), end)


def _backwards(*parts: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return the steps of several arrays together, from the last to the first."""
    steps: list[tuple[Tensor, ...]] = list(zip(*(part.unbind() for part in parts), strict=True))
    return reversed(steps)


def _initial_gradient(d_next: Tensor | None, recurrent: _Product, like: Tensor) -> Tensor:
    """Return the gradient (B, H) of the initial h through the recurrent product of the first step."""
    assert d_next is not None, "a window has at least one step"
    return recurrent(d_next).to(like.dtype)


def _to_inputs(dz: Tensor, weight_ih: Tensor, inputs: Tensor) -> Tensor:
    """Return the gradient of the inputs, (T, B, D)."""
    return (dz @ weight_ih.to(dz.dtype)).to(inputs.dtype)


def _weight_gradients(from_inputs: Tensor, recurrent: Tensor, inputs: Tensor, hs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``weight_ih`` and ``weight_hh``, each one product over the whole window."""
    pairs = (from_inputs, inputs), (recurrent, hs[:-1])
    d_ih, d_hh = ((dz.flatten(0, 1).t() @ factor.flatten(0, 1).to(dz.dtype)).to(hs.dtype) for dz, factor in pairs)
    return d_ih, d_hh


def _bias_gradient(dz: Tensor, like: Tensor) -> Tensor:
    """Return the gradient of the biases, summed over all steps, (G · H,)."""
    flat = dz.flatten(0, 1)
    return (flat.new_ones(len(flat)) @ flat).to(like.dtype)  # a sum in bf16 takes many times as long
