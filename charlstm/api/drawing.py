"""Drawing a text as the library does it, by one network or by several."""

from __future__ import annotations

from collections.abc import Iterator

from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.errors import UsageError
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.guides import Guide
from charlstm.sampling.prompts import prompt_ids
from charlstm.sampling.sampler import sample


def fragments(
    model: TextModel, writing: Writing, prompt: str, config: SampleConfig, guide: Guide | None, particles: int = 1
) -> Iterator[str]:
    """Continue a prompt, a few characters at a time.

    Args:
        model: the network, or several.
        writing: how it writes.
        prompt: in characters of its alphabet.
        config: filters, end and seed.
        guide: the rule that the text keeps after the prompt; None allows everything.
        particles: how many texts are drawn, of which one is returned: see `sampling.particles`.

    Returns:
        An iterator of texts.
    """
    ids = prompt_ids(model.tokenizer, prompt, writing.record)
    drawn = sample(model, ids, config, starts=writing.starts, guide=guide, particles=particles)
    return (fragment.text for fragment in drawn)


def require_end(config: SampleConfig) -> None:
    """Check that a text which is returned as a whole ends.

    Raises:
        UsageError: nothing would end it.
    """
    if not config.ends:
        hint = "Give a length, stop, stop_after or lines; or use stream() for an endless one."
        raise UsageError("a text that nothing ends never ends", hint=hint)
