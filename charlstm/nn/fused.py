"""Whole windows of cells written out by hand, forward and backward.

One input product for all steps, one recurrent product a step, one product for the gradient of each matrix. The
recurrent matrix is the same at every step: on a CPU oneDNN lays it out once a window as its product reads it fastest,
and the product is then up to three times as quick. Each gate is an array of its own, (T, B, H), so that what is done to
one at a step is done to one block of memory.

Backward, the gradient of a gate is the gradient of h or of c times a factor that does not depend on it. The factors
of many steps are computed together, which leaves few operations a step. They are named after what they lead to:
``to_f`` is ∂/∂(the sum inside f's σ).

Under autocast products are computed in its type; what is carried, summed and squashed keeps the type of the weights.

Letters: T time, B batch, D input features, H hidden features, G gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlstm.nn.state import LayerState

_BLOCK = 1 << 17
"""Numbers in an array of factors: so many stay in a core's own cache until they are used."""

_FEW_STEPS, _FEW_WEIGHTS = 8, 1 << 17
"""In a window of fewer steps, and of a matrix of fewer weights, laying it out costs more than it saves."""


def rnn(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """A window of `cells.rnn`: hidden states (T, B, H) and the state after."""
    outputs, h = _Rnn.apply(inputs, *state, *weights)  # type: ignore[no-untyped-call]
    return outputs, (h,)


def gru(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """A window of `cells.gru`: hidden states (T, B, H) and the state after."""
    outputs, h = _Gru.apply(inputs, *state, *weights)  # type: ignore[no-untyped-call]
    return outputs, (h,)


def lstm(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """A window of `cells.lstm`: hidden states (T, B, H) and the state after."""
    outputs, h, c = _Lstm.apply(inputs, *state, *weights, None)  # type: ignore[no-untyped-call]
    return outputs, (h, c)


def peephole(inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> tuple[Tensor, LayerState]:
    """A window of `cells.peephole`: hidden states (T, B, H) and the state after."""
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
        for sums, before, after in zip(z.unbind(), hs.unbind(), hs[1:].unbind(), strict=False):
            recurrent.add_to(sums, before)
            torch.tanh(sums, out=after)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, hs)
        return hs[1:], hs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, hs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(weight_hh.t(), inputs, ctx.product)
        dz, later, one = torch.empty_like(hs[1:], dtype=ctx.product), None, hs.new_ones(())
        for block in _blocks(hs[1:]):
            h = hs[1:][block]
            to_z = torch.addcmul(one, h, h, value=-1)
            for d_now, factor, d_sums in _backwards(dh[block], to_z, dz[block]):
                if later is not None:
                    recurrent.add_to(d_now, later)
                later = torch.mul(factor, d_now, out=d_sums)
        first = _first(later, recurrent, dh)
        d_inputs = _to_inputs(dz, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        return d_inputs, first, *_weight_gradients(dz, dz, inputs, hs), _bias_gradient(dz, hs)


class _Lstm(torch.autograd.Function):
    """The LSTM; with ``peephole`` i and f also see the old cell, o the new one."""

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
            strict=False,  # hs and cs have the state before the window too
        )
        for sums, i_f, i, f, g, o, h_before, c_before, h_after, c_after, tanh_c in steps:
            sums.add_(_by_gate(recurrent(h_before), 4))
            if peep is not None:
                i_f.addcmul_(peep[:2], c_before)
            i_f.sigmoid_()
            g.tanh_()
            torch.mul(f, c_before, out=c_after).addcmul_(i, g)
            if peep is not None:
                o.addcmul_(peep[2], c_after)
            o.sigmoid_()
            torch.mul(o, torch.tanh(c_after, out=tanh_c), out=h_after)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs)
        return hs[1:], hs[-1].clone(), cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(weight_hh.t(), inputs, ctx.product)
        dc, dz, later = d_c.clone(), _rows(gates, ctx.product), None
        now = torch.empty_like(gates[:, 0])
        d_ifg, d_o = now[:3], now[3]
        peep = None if peephole is None else peephole.view(3, 1, -1)
        d_peep = torch.zeros_like(d_ifg)
        for block in _blocks(tanh_cs):
            factors = _Lstm._factors(gates[:, block], hs[1:][block], cs[:-1][block], tanh_cs[block], peep)
            to_ifg, *others = factors
            steps = _backwards(dh[block], to_ifg.transpose(0, 1), *others, dz[block], cs[:-1][block], cs[1:][block])
            for d_now, to_ifg, to_o, to_c, keep, d_sums, c_before, c_after in steps:
                if later is not None:
                    recurrent.add_to(d_now, later)
                dc.addcmul_(d_now, to_c)
                torch.mul(to_ifg, dc, out=d_ifg)
                torch.mul(to_o, d_now, out=d_o)
                dc.mul_(keep)
                if peep is not None:
                    d_peep[:2].addcmul_(d_ifg[:2], c_before)
                    d_peep[2].addcmul_(d_o, c_after)
                later = d_sums.copy_(now.transpose(0, 1)).flatten(1)
        flat = dz.flatten(2)
        d_inputs = _to_inputs(flat, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        d_peephole = None if peep is None else d_peep.sum(1).flatten()
        weights = _weight_gradients(flat, flat, inputs, hs)
        return d_inputs, _first(later, recurrent, dh), dc, *weights, _bias_gradient(flat, hs), d_peephole

    @staticmethod
    def _factors(
        gates: Tensor, h: Tensor, c_before: Tensor, tanh_c: Tensor, peep: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of dc: those that lead to the sums in i, f and g; of dh: to the sum in o, to c; of dc: to the c before."""
        i, f, g, o = gates
        to_ifg = torch.empty_like(gates[:3])
        written, kept = i * g, f * c_before
        torch.addcmul(written, written, i, value=-1, out=to_ifg[0])  # g i (1 - i)
        torch.addcmul(kept, kept, f, value=-1, out=to_ifg[1])  # c' f (1 - f)
        torch.addcmul(i, written, g, value=-1, out=to_ifg[2])  # i (1 - g²)
        to_o = torch.addcmul(h, h, o, value=-1)  # tanh(c) o (1 - o)
        to_c = torch.addcmul(o, h, tanh_c, value=-1)  # o (1 - tanh(c)²)
        if peep is None:
            return to_ifg, to_o, to_c, f
        to_c.addcmul_(to_o, peep[2])
        keep = torch.addcmul(f, to_ifg[0], peep[0]).addcmul_(to_ifg[1], peep[1])
        return to_ifg, to_o, to_c, keep


class _Gru(torch.autograd.Function):
    """The GRU. Its sums stand in the order q r z n: q = U_n h' + d_n is the recurrent side of n, n the input side.

    So the rows that the recurrent product adds to are the first three, those that the inputs lead to the last three.
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
        for sums, r_z, q, r, keep, n, before, after in steps:
            sums.add_(_by_gate(recurrent(before), 3))
            r_z.sigmoid_()
            n.addcmul_(r, q).tanh_()
            torch.lerp(n, before, keep, out=after)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, z, hs)
        return hs[1:], hs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, z, hs = ctx.saved_tensors
        dh, recurrent = _incoming(d_outputs, d_h), _Product(_q_first(weight_hh).t(), inputs, ctx.product)
        dz, later, now = _rows(z, ctx.product), None, torch.empty_like(z[:, 0])
        d_keep = torch.zeros_like(hs[0])
        for block in _blocks(hs[1:]):
            factors, keep = _Gru._factors(z[:, block], hs[:-1][block])
            for d_now, factor, kept, d_all in _backwards(dh[block], factors.transpose(0, 1), keep, dz[block]):
                if later is not None:
                    recurrent.add_to(d_now.add_(d_keep), later)
                d_all.copy_(torch.mul(factor, d_now, out=now).transpose(0, 1))
                torch.mul(kept, d_now, out=d_keep)
                later = d_all[:, :3].flatten(1)
        flat, hidden = dz.flatten(2), weight_hh.shape[1]
        from_inputs, summed = flat[..., hidden:], flat[..., : 3 * hidden]
        d_inputs = _to_inputs(from_inputs, weight_ih, inputs) if ctx.needs_input_grad[0] else None
        d_ih, d_hh = _weight_gradients(from_inputs, summed, inputs, hs)
        sums = _bias_gradient(flat, hs)
        first = _first(later, recurrent, dh) + d_keep
        return d_inputs, first, d_ih, d_hh.roll(-hidden, 0), sums[hidden:], sums[:hidden]

    @staticmethod
    def _factors(z: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Of dh: those that lead to the sums q r z n; to the h before."""
        q, r, keep, n = z
        factors = torch.empty_like(z)
        to_q, to_r, to_z, to_n = factors
        new = 1 - keep
        torch.addcmul(new, new * n, n, value=-1, out=to_n)  # (1 - z) (1 - n²)
        torch.mul(to_n, r, out=to_q)
        gated = to_q * q
        torch.addcmul(gated, gated, r, value=-1, out=to_r)
        change = (before - n).mul_(keep)
        torch.addcmul(change, change, keep, value=-1, out=to_z)
        return factors, keep


# ---- what they share --------------------------------------------------------------------------------------------


def _product_type(weight: Tensor) -> torch.dtype:
    """The type of matrix products here and now."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


class _Product:
    """x → x Wᵀ, for every step of a window of inputs; x (B, columns of W), computed in the type of products.

    oneDNN's layouts have no public name in torch. Where it lacks them, or the processor the type, torch multiplies.
    """

    def __init__(self, weight: Tensor, inputs: Tensor, product: torch.dtype) -> None:
        self._weight, self._type, self._laid_out = weight.to(product), product, None
        known = weight.device.type == "cpu" and product in (torch.float32, torch.bfloat16)
        if known and len(inputs) >= _FEW_STEPS and weight.numel() >= _FEW_WEIGHTS:
            with suppress(AttributeError, RuntimeError):
                lay_out, self._multiply = torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise
                self._laid_out = lay_out(self._weight.contiguous(), inputs.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        if self._laid_out is None:
            return x.to(self._type) @ self._weight.t()
        product: Tensor = self._multiply(x.to(self._type), self._laid_out, None, "none", [], "")
        return product

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add it in place."""
        if self._laid_out is None and total.dtype == self._type:
            total.addmm_(x, self._weight.t())
        else:
            total.add_(self(x))


def _from_inputs(inputs: Tensor, weight: Tensor, bias: Tensor, hidden: int, product: torch.dtype) -> Tensor:
    """W x + b of all steps, gate by gate: (G, T, B, H)."""
    gates = weight.to(product).view(-1, hidden, weight.shape[1])
    sums = torch.bmm(inputs.flatten(0, 1).to(product).expand(len(gates), -1, -1), gates.transpose(1, 2))
    return (sums + bias.view(-1, 1, hidden)).view(-1, *inputs.shape[:2], hidden)  # in the type of the bias


def _by_gate(sums: Tensor, gates: int) -> Tensor:
    """(B, G · H) seen as (G, B, H)."""
    return sums.view(len(sums), gates, -1).transpose(0, 1)


def _rows(gates: Tensor, product: torch.dtype) -> Tensor:
    """Room for the gradients of all sums, (G, T, B, H) → (T, B, G, H): the rows that products read."""
    count, time, batch, hidden = gates.shape
    return gates.new_empty(time, batch, count, hidden, dtype=product)


def _history(first: Tensor, time: int) -> Tensor:
    """Room for a part of the state before the window and after each step, (T + 1, B, H), filled with the former."""
    room = first.new_empty(time + 1, *first.shape)
    room[0] = first
    return room


def _incoming(d_outputs: Tensor, d_h: Tensor) -> Tensor:
    """The gradient that reaches each step's h from above, the last one's also from behind the window: (T, B, H)."""
    dh = d_outputs.clone(memory_format=torch.contiguous_format)
    dh[-1] += d_h
    return dh


def _q_first(weight_hh: Tensor) -> Tensor:
    """Rows r z n in the order n r z."""
    return weight_hh.roll(weight_hh.shape[1], 0)


def _blocks(whole: Tensor) -> Iterator[slice]:
    """Slices of time from the last to the first, so short that the factors of one stay in the cache."""
    steps = max(1, _BLOCK // whole[0].numel())
    for end in range(len(whole), 0, -steps):
        yield slice(max(0, end - steps), end)


def _backwards(*parts: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The steps of several arrays side by side, from the last to the first."""
    steps: list[tuple[Tensor, ...]] = list(zip(*(part.unbind() for part in parts), strict=True))
    return reversed(steps)


def _first(later: Tensor | None, recurrent: _Product, like: Tensor) -> Tensor:
    """The gradient (B, H) of the h before the window, as far as it goes through the recurrent product."""
    assert later is not None, "a window has at least one step"
    return recurrent(later).to(like.dtype)


def _to_inputs(dz: Tensor, weight_ih: Tensor, inputs: Tensor) -> Tensor:
    """The gradient of the inputs, (T, B, D)."""
    return (dz @ weight_ih.to(dz.dtype)).to(inputs.dtype)


def _weight_gradients(from_inputs: Tensor, recurrent: Tensor, inputs: Tensor, hs: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of ``weight_ih`` and ``weight_hh``, each one product over the whole window."""
    pairs = (from_inputs, inputs), (recurrent, hs[:-1])
    d_ih, d_hh = ((dz.flatten(0, 1).t() @ read.flatten(0, 1).to(dz.dtype)).to(hs.dtype) for dz, read in pairs)
    return d_ih, d_hh


def _bias_gradient(dz: Tensor, like: Tensor) -> Tensor:
    """The gradient of what is added at every step, (R,)."""
    flat = dz.flatten(0, 1)
    return (flat.new_ones(len(flat)) @ flat).to(like.dtype)  # in bf16 a sum takes many times as long
