"""Whole windows of cells written out by hand, forward and backward, for the cells oneDNN and cuDNN do not have.

One input product for all steps, one recurrent product a step, one product for the gradient of each matrix. Inside, time
comes first, then the features, the batch last: (T, H, B). So each gate of a step is one block of memory, and the
recurrent product reads its large matrix in the order it lies in, which at small batches is up to twice as quick.

Backward, the gradient of a gate is the gradient of h or of c times a factor that does not depend on it. The factors
of many steps are computed together, which leaves few operations a step. They are named after what they lead to:
``to_f`` is ∂/∂(the sum inside f's σ).

Under autocast products are computed in its type; what is carried, summed and squashed keeps the type of the weights.

Letters: T time, B batch, D input features, H hidden features, R rows of the gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charlstm.nn.cells import LayerState

_BLOCK = 1 << 17
"""Numbers in an array of factors: so many stay in a core's own cache until they are used."""


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
        z = _from_inputs(inputs, weight_ih, bias, ctx.product)
        hs, u = _history(h, len(inputs)), weight_hh.to(ctx.product)
        for sums, before, after in zip(z.unbind(), hs.unbind(), hs[1:].unbind(), strict=False):
            _add_product(sums, u, before)
            torch.tanh(sums, out=after)
        rows = _batch_first(hs)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, hs, rows)
        return rows[1:], rows[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, hs, rows = ctx.saved_tensors
        dh, u = _incoming(d_outputs, d_h), _turned(weight_hh, ctx.product)
        dz, later, one = torch.empty_like(hs[1:]), None, hs.new_ones(())
        for block in _blocks(hs[1:]):
            h = hs[1:][block]
            to_z = torch.addcmul(one, h, h, value=-1)
            for d_now, factor, d_sums in _backwards(dh[block], to_z, dz[block]):
                if later is not None:
                    _add_product(d_now, u, later)
                later = torch.mul(factor, d_now, out=d_sums)
        first = _first(later, u)
        flat, d_inputs = _flat(dz), None
        if ctx.needs_input_grad[0]:
            d_inputs = _to_inputs(flat, weight_ih, inputs, ctx.product)
        d_ih, d_hh = _weight_gradients(flat, flat, inputs, rows, ctx.product)
        return d_inputs, first, d_ih, d_hh, flat.sum(1)


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
        z = _from_inputs(inputs, weight_ih, bias, ctx.product)
        time, rows, batch = z.shape
        gates = z.view(time, 4, rows // 4, batch)
        hs, cs, u = _history(h, time), _history(c, time), weight_hh.to(ctx.product)
        tanh_cs = torch.empty_like(cs[1:])
        peep = None if peephole is None else peephole.view(3, -1, 1)
        steps = zip(
            *(whole.unbind() for whole in (z, gates[:, :2], *gates.unbind(1), hs, cs, hs[1:], cs[1:], tanh_cs)),
            strict=False,  # hs and cs have the state before the window too
        )
        for sums, i_f, i, f, g, o, h_before, c_before, h_after, c_after, tanh_c in steps:
            _add_product(sums, u, h_before)
            if peep is not None:
                i_f.addcmul_(peep[:2], c_before)
            i_f.sigmoid_()
            g.tanh_()
            torch.mul(f, c_before, out=c_after).addcmul_(i, g)
            if peep is not None:
                o.addcmul_(peep[2], c_after)
            o.sigmoid_()
            torch.mul(o, torch.tanh(c_after, out=tanh_c), out=h_after)
        outputs = _batch_first(hs)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs, outputs)
        return outputs[1:], outputs[-1].clone(), cs[-1].t().contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, peephole, gates, hs, cs, tanh_cs, outputs = ctx.saved_tensors
        dh, u = _incoming(d_outputs, d_h), _turned(weight_hh, ctx.product)
        dc, dz, later = _turned_copy(d_c), torch.empty_like(gates), None
        peep = None if peephole is None else peephole.view(3, -1, 1)
        d_peep = gates.new_zeros(3, *tanh_cs.shape[1:])
        for block in _blocks(tanh_cs):
            factors = _Lstm._factors(gates[block], hs[1:][block], cs[:-1][block], tanh_cs[block], peep)
            d_gates = dz[block]
            seen = (cs[:-1][block], cs[1:][block])
            steps = _backwards(dh[block], *factors, d_gates[:, :3], d_gates[:, 3], d_gates.flatten(1, 2), *seen)
            for d_now, to_ifg, to_o, to_c, keep, d_ifg, d_o, d_sums, c_before, c_after in steps:
                if later is not None:
                    _add_product(d_now, u, later)
                dc.addcmul_(d_now, to_c)
                torch.mul(to_ifg, dc, out=d_ifg)
                torch.mul(to_o, d_now, out=d_o)
                dc.mul_(keep)
                if peep is not None:
                    d_peep[:2].addcmul_(d_ifg[:2], c_before)
                    d_peep[2].addcmul_(d_o, c_after)
                later = d_sums
        flat, d_inputs = _flat(dz.flatten(1, 2)), None
        if ctx.needs_input_grad[0]:
            d_inputs = _to_inputs(flat, weight_ih, inputs, ctx.product)
        d_peephole = None if peep is None else d_peep.sum(2).flatten()
        d_ih, d_hh = _weight_gradients(flat, flat, inputs, outputs, ctx.product)
        return d_inputs, _first(later, u), dc.t().contiguous(), d_ih, d_hh, flat.sum(1), d_peephole

    @staticmethod
    def _factors(
        gates: Tensor, h: Tensor, c_before: Tensor, tanh_c: Tensor, peep: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of dc: those that lead to the sums in i, f and g; of dh: to the sum in o, to c; of dc: to the c before."""
        i, f, g, o = gates.unbind(1)
        to_ifg = torch.empty_like(gates[:, :3])
        written, kept = i * g, f * c_before
        torch.addcmul(written, written, i, value=-1, out=to_ifg[:, 0])  # g i (1 - i)
        torch.addcmul(kept, kept, f, value=-1, out=to_ifg[:, 1])  # c' f (1 - f)
        torch.addcmul(i, written, g, value=-1, out=to_ifg[:, 2])  # i (1 - g²)
        to_o = torch.addcmul(h, h, o, value=-1)  # tanh(c) o (1 - o)
        to_c = torch.addcmul(o, h, tanh_c, value=-1)  # o (1 - tanh(c)²)
        if peep is None:
            return to_ifg, to_o, to_c, f
        to_c.addcmul_(to_o, peep[2])
        keep = torch.addcmul(f, to_ifg[:, 0], peep[0]).addcmul_(to_ifg[:, 1], peep[1])
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
        (time, batch, _), hidden = inputs.shape, weight_hh.shape[1]
        z = weight_hh.new_empty(time, 4, hidden, batch)
        z[:, 0] = bias_n.unsqueeze(1)
        z[:, 1:] = _from_inputs(inputs, weight_ih, bias, ctx.product).view(time, 3, hidden, batch)
        hs, u = _history(h, time), _q_first(weight_hh).to(ctx.product)
        steps = zip(
            *(whole.unbind() for whole in (z[:, :3].flatten(1, 2), z[:, 1:3], *z.unbind(1), hs, hs[1:])),
            strict=False,
        )
        for sums, r_z, q, r, keep, n, before, after in steps:
            _add_product(sums, u, before)
            r_z.sigmoid_()
            n.addcmul_(r, q).tanh_()
            torch.lerp(n, before, keep, out=after)
        rows = _batch_first(hs)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, z, hs, rows)
        return rows[1:], rows[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight_ih, weight_hh, z, hs, rows = ctx.saved_tensors
        dh, u = _incoming(d_outputs, d_h), _turned(_q_first(weight_hh), ctx.product)
        dz, later = torch.empty_like(z), None
        d_keep = torch.zeros_like(hs[0])
        for block in _blocks(hs[1:]):
            factors, keep = _Gru._factors(z[block], hs[:-1][block])
            recurrent = dz[block][:, :3].flatten(1, 2)
            for d_now, factor, kept, d_all, d_recurrent in _backwards(dh[block], factors, keep, dz[block], recurrent):
                if later is not None:
                    _add_product(d_now.add_(d_keep), u, later)
                torch.mul(factor, d_now, out=d_all)
                torch.mul(kept, d_now, out=d_keep)
                later = d_recurrent
        flat, hidden = _flat(dz.flatten(1, 2)), weight_hh.shape[1]
        from_inputs, recurrent, d_inputs = flat[hidden:], flat[: 3 * hidden], None
        if ctx.needs_input_grad[0]:
            d_inputs = _to_inputs(from_inputs, weight_ih, inputs, ctx.product)
        d_ih, d_hh = _weight_gradients(from_inputs, recurrent, inputs, rows, ctx.product)
        d_hh = d_hh.roll(-hidden, 0)
        sums = flat.sum(1)
        return d_inputs, _first(later, u) + d_keep.t(), d_ih, d_hh, sums[hidden:], sums[:hidden]

    @staticmethod
    def _factors(z: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Of dh: those that lead to the sums q r z n; to the h before."""
        q, r, keep, n = z.unbind(1)
        factors = torch.empty_like(z)
        to_q, to_r, to_z, to_n = factors.unbind(1)
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


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right`` in place, computed in the type of ``left``."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right.to(left.dtype)


def _from_inputs(inputs: Tensor, weight: Tensor, bias: Tensor, product: torch.dtype) -> Tensor:
    """W x + b of all steps: (T, R, B)."""
    turned = inputs.transpose(1, 2).to(product)
    sums = torch.bmm(weight.to(product).expand(len(inputs), -1, -1), turned).to(weight.dtype)
    return sums.add_(bias.unsqueeze(1))


def _history(first: Tensor, time: int) -> Tensor:
    """Room for a part of the state before the window and after each step, (T + 1, H, B), filled with the former."""
    room = first.new_empty(time + 1, first.shape[1], first.shape[0])
    room[0] = first.t()
    return room


def _batch_first(hs: Tensor) -> Tensor:
    """(T + 1, H, B) → (T + 1, B, H), as the layers above and the products for gradients want it."""
    return hs.transpose(1, 2).contiguous()


def _incoming(d_outputs: Tensor, d_h: Tensor) -> Tensor:
    """The gradient that reaches each step's h from above, the last one's also from behind the window: (T, H, B)."""
    dh = _turned_copy(d_outputs)
    dh[-1] += d_h.t()
    return dh


def _turned_copy(part: Tensor) -> Tensor:
    """A copy with the last two axes exchanged; `contiguous` makes none where an axis is 1 long."""
    return part.transpose(-1, -2).clone(memory_format=torch.contiguous_format)


def _turned(weight_hh: Tensor, product: torch.dtype) -> Tensor:
    """The recurrent matrix for the way back, laid out as its product reads it: (H, R)."""
    return weight_hh.to(product).t().contiguous()


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


def _first(later: Tensor | None, u: Tensor) -> Tensor:
    """The gradient (B, H) of the h before the window, as far as it goes through the recurrent product."""
    assert later is not None, "a window has at least one step"
    return (u @ later.to(u.dtype)).to(later.dtype).t().contiguous()


def _flat(dz: Tensor) -> Tensor:
    """The gradients of the sums with all steps of all rows side by side: (R, T · B)."""
    return dz.transpose(0, 1).flatten(1)


def _to_inputs(flat: Tensor, weight_ih: Tensor, inputs: Tensor, product: torch.dtype) -> Tensor:
    """The gradient of the inputs, (T, B, D)."""
    return (flat.t().to(product) @ weight_ih.to(product)).to(inputs.dtype).view_as(inputs)


def _weight_gradients(
    from_inputs: Tensor, recurrent: Tensor, inputs: Tensor, rows: Tensor, product: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The gradients of ``weight_ih`` and ``weight_hh``, each one product over the whole window."""
    d_ih = from_inputs.to(product) @ inputs.flatten(0, 1).to(product)
    d_hh = recurrent.to(product) @ rows[:-1].flatten(0, 1).to(product)
    return d_ih.to(rows.dtype), d_hh.to(rows.dtype)
