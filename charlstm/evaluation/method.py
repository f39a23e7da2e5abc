"""The choice of how a text is scored: exactly, or in parallel and in half precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from numpy.typing import NDArray

from charlstm.evaluation.objective import Objective
from charlstm.evaluation.score import Losses, Method
from charlstm.evaluation.windows import BURN_IN, STREAMS
from charlstm.nn.model import CharLM

LONG = 1 << 16
"""Tokens from which a text is not scored exactly unless that is asked for: each stream then has 2,048 or more."""

_SAMPLE = 1 << 13  # tokens that fp32 and bf16 are compared on
_TOLERANCE = 5e-4  # nats per token: half of what a score may differ by


def choose_method(
    objective: Objective, model: CharLM, ids: NDArray[Any], context: NDArray[Any], *, exact: bool = False
) -> Method:
    """Choose how to score a text: a short one exactly, a long one as fast as training evaluates.

    A long text is read in 32 streams, except by a network with attention that reaches further back than a stream's
    burn-in. It is computed in bf16 where the processor has instructions for it, if on the text's
    first 8,192 tokens that agrees with fp32: it does for trained networks, not for some with random weights. The mean
    loss is within 0.001 nats of the exact one: on 264,680 characters of the bundled corpus the starter's differs by
    0.00001.

    Args:
        objective: of the network.
        model: the network, on its device.
        ids: the text, (tokens,), at least one; it may be memory-mapped.
        context: what the network reads before the text, (tokens,), at least one.
        exact: read in order, in fp32, whatever the length.

    Returns:
        In how many streams to read the text, and in which precision.
    """
    if exact or len(ids) < LONG:
        return Method()
    shape = model.architecture
    in_order = not objective.has_order or shape.attention_window > BURN_IN
    full, half = (Method(1 if in_order else STREAMS, precision) for precision in ("fp32", "bf16"))
    if not _computes_in_bf16(next(model.parameters()).device):
        return full
    sample = ids[:_SAMPLE]
    sums = [
        sum(float(nats.sum()) for _, nats in text_losses(objective, model, sample, context, method))
        for method in (full, half)
    ]
    return half if abs(sums[0] - sums[1]) < _TOLERANCE * len(sample) else full


def text_losses(
    objective: Objective, model: CharLM, ids: NDArray[Any], context: NDArray[Any], method: Method
) -> Losses:
    """The loss of every token of a text, given what the objective lets the network see.

    Args:
        objective: as `choose_method`.
        model: as `choose_method`.
        ids: as `choose_method`.
        context: as `choose_method`.
        method: how to read the text.
    """
    autocast: AbstractContextManager[Any] = nullcontext()
    if method.precision == "bf16":
        autocast = torch.autocast(next(model.parameters()).device.type, torch.bfloat16)
    return objective.losses(model, ids, context, autocast, method.streams)


def _computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16; without them it is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions have none
    return device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
