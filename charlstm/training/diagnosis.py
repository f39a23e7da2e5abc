"""What the losses of a run say, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

_LITTLE_TEXT, _HARDLY_ANY = 30_000, 2_000
_WORSE = 0.02
"""Nats per token that a validation loss may rise from its best before it is called overfitting."""
_GAP, _MANY_PASSES = 0.5, 8
"""Nats per token between training and validation that after so many passes mean learning by heart."""
_STILL_FALLING = 0.03


def diagnose(train_loss: float, val_losses: Sequence[float], tokens: int, train_tokens: int) -> str:
    """One or two sentences on how the run went, or nothing when nothing stands out.

    Args:
        train_loss: nats per token at the end, a running mean over recent steps.
        val_losses: nats per token at each evaluation, in order; may be empty.
        tokens: training tokens seen in all.
        train_tokens: training tokens there are.
    """
    if not val_losses:
        return ""
    passes = tokens / max(1, train_tokens)
    best, last = min(val_losses), val_losses[-1]
    overfitting = last > best + _WORSE or (last - train_loss > _GAP and passes > _MANY_PASSES)
    if overfitting and train_tokens >= _HARDLY_ANY:
        return (
            f"Overfitting: after {passes:.0f} passes over the text it knows it better (train {train_loss:.2f}) than "
            f"what it has not seen (val {last:.2f}). The best weights are kept; more text, or more --dropout, helps."
        )
    if train_tokens < _LITTLE_TEXT:
        return (
            f"Too little text: {train_tokens:,} tokens teach spelling, not much more. "
            "100,000 characters make a good start, a million a good model."
        )
    if passes < 1:
        return (
            f"Only {passes:.0%} of the text was read in this time. A longer --max-time will help; "
            "so will a smaller --hidden-size."
        )
    if len(val_losses) >= 3 and val_losses[-2] - last > _STILL_FALLING:
        return "Underfitting: the loss was still falling fast at the end. A larger --max-time or --epochs will help."
    return ""
