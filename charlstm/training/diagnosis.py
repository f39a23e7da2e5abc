"""A diagnosis of a run from its losses, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

_LITTLE_TEXT, _HARDLY_ANY = 30_000, 2_000
_WORSE = 0.02
"""Nats per token that a validation loss may rise from its best before it is called overfitting."""
_GAP, _MANY_PASSES = 0.5, 8
"""Nats per token between training and validation loss, and passes over the text, that together mean overfitting."""
_STILL_FALLING = 0.03
"""Nats per token between the last two evaluations."""


def diagnose(
    train_loss: float,
    val_losses: Sequence[float],
    tokens: int,
    train_tokens: int,
    *,
    fine_tuned: bool = False,
    start_loss: float | None = None,
) -> str:
    """Describe how a run went in one or two sentences.

    Args:
        train_loss: nats per token at the end, a running mean over recent steps.
        val_losses: nats per token at each evaluation, in order; may be empty.
        tokens: training tokens processed, over all passes.
        train_tokens: tokens in the training text.
        fine_tuned: whether the run began from a trained network, whose shape is given and which needs little text.
        start_loss: the first of ``val_losses``, if it is of that network before any step.

    Returns:
        The sentences; empty if nothing stands out.
    """
    if not val_losses:
        return ""
    passes = tokens / max(1, train_tokens)
    best, last = min(val_losses), val_losses[-1]
    rose = last > best + _WORSE
    if best == start_loss and len(val_losses) > 1:
        return (
            f"Nothing was gained: the network that it began with has a loss of {best:.2f} nats per token on the "
            f"validation text, and none since was better ({last:.2f} at the end). It is kept as it was. "
            "A longer `max_time` or a lower `lr` helps."
        )
    if rose and passes < 1:  # what was read once is not memorised
        return (
            f"Too early to tell: after {passes:.0%} of the text the loss on the validation text was {last:.2f} nats "
            f"per token, more than the {best:.2f} before. The best weights are kept; a longer `max_time` helps."
        )
    if (rose or (last - train_loss > _GAP and passes > _MANY_PASSES)) and train_tokens >= _HARDLY_ANY:
        return (
            f"Overfitting: after {passes:.0f} passes over the training text the loss on it is {train_loss:.2f} nats "
            f"per token, but {last:.2f} on the validation text. The best weights are kept; more text or more `dropout` "
            "helps."
        )
    if train_tokens < _LITTLE_TEXT and not fine_tuned:
        return (
            f"Too little text: {train_tokens:,} tokens teach spelling and little else. "
            "100,000 characters are a good start, a million give a good model."
        )
    if passes < 1:
        smaller = "" if fine_tuned else ", and so does a smaller `hidden_size`"
        return f"Only {passes:.0%} of the text was used in this time. A longer `max_time` helps{smaller}."
    if len(val_losses) >= 3 and val_losses[-2] - last > _STILL_FALLING:
        return "Underfitting: the loss was still falling fast at the end. A larger `max_time` or more `epochs` helps."
    return ""
