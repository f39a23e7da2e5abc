"""How a training ends for a person: a sample of what it writes now, and one sentence that says what was learnt."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import duration, say

if TYPE_CHECKING:
    from charlstm.sampling.sampler import Fragment
    from charlstm.training.loop import Training
    from charlstm.training.outcome import Outcome

_LINES, _LENGTH = 10, 600
"""Lines of the sample, and its tokens where there are fewer lines."""
_SHORTEST = 100
"""Tokens below which a text is not chosen if there is a longer one: ten empty lines surprise nobody."""
_TEXTS = 4
"""Texts that are drawn; the one is shown that surprises the network least: by chance a single one is an odd place."""
_ENDS = re.compile(r"[.!?][\"'”’)\]]*(?=\s)|[。！？][”’」』）]*"), re.compile("\n")
"""Where a text may end: after a sentence, else after a line."""


def close(training: Training, stop: Callable[[], bool]) -> None:
    """Print the sample, of the saved weights and with the run's seed, and the sentence, on stderr.

    Args:
        training: the training, after its last event.
        stop: called after each token of a text; when it returns True, the sample ends.
    """
    text = _sample(training, stop)
    if text:
        output = Output(sys.stderr)
        output.rule(f"{training.folder.name} writes")
        output.write(text)
        output.end_line()
        say("")
    say(sentence(training.outcome(), training.tokenizer.kind, bidirectional=training.run.model.bidirectional))


def _sample(training: Training, stop: Callable[[], bool]) -> str:
    """The likeliest of some texts from where a paragraph or line begins, or some records; empty if it fills blanks."""
    from charlstm.checkpoint.format import read_model
    from charlstm.checkpoint.run import MODEL
    from charlstm.engine.bidirectional import BidirectionalEngine
    from charlstm.engine.load import load_engine
    from charlstm.sampling.config import settings_for
    from charlstm.sampling.records import draw_records
    from charlstm.sampling.sampler import sample

    saved = read_model(training.folder / MODEL)
    engine, text, seed = load_engine(saved), "", saved.run.train.seed
    if isinstance(engine, BidirectionalEngine):
        return text
    if saved.writing.record:
        config = settings_for(saved.writing, length=0, seed=seed)
        for record in draw_records(engine, saved.writing, saved.records, config, _LINES):
            text += record.text + saved.writing.record
            if stop():
                break
        return text.strip("\n")
    config = settings_for(saved.writing, length=_LENGTH, lines=_LINES, seed=seed)
    texts: list[list[Fragment]] = [[] for _ in range(_TEXTS)]
    drawn = sample(engine, (), config, rows=_TEXTS, starts=saved.writing.starts, with_log_probabilities=True)
    for fragment in drawn:
        texts[fragment.row].append(fragment)
        if stop():
            break
    return whole_sentences("".join(fragment.text for fragment in _likeliest(texts)))


def _likeliest(texts: list[list[Fragment]]) -> list[Fragment]:
    """The text that surprises the network least, token by token, of those that are not over at once."""
    least = min(_SHORTEST, max(map(len, texts)))
    long_enough = [each for each in texts if len(each) >= least]
    return max(long_enough, key=lambda each: fmean(fragment.log_probability for fragment in each))


def whole_sentences(text: str) -> str:
    """A text up to its last end of a sentence, without empty lines around it.

    Args:
        text: any text. Where it has no sentences that end in its second half, it ends with a line; else as it is.
    """
    last = [max((match.end() for match in ends.finditer(text)), default=0) for ends in _ENDS]
    end = next((each for each in last if 2 * each > len(text)), max(last)) or len(text)
    return text[:end].strip("\n")


def sentence(outcome: Outcome, kind: str, *, bidirectional: bool = False) -> str:
    """Say in plain words what was learnt.

    Args:
        outcome: the figures.
        kind: of the tokenizer, which tells what is predicted.
        bidirectional: whether the network fills blanks instead of continuing a text.

    Returns:
        One sentence.
    """
    read = f"It read {_how_often(outcome.passes)} in {duration(outcome.seconds)}"
    unit = "byte" if kind == "byte" else "character"
    token = {"byte": "byte", "char": "character"}.get(kind, "piece of a word")
    bits, known = outcome.bits, outcome.bits_by_frequency
    if bits is None or known is None:
        return f"{read}; no part of the text was kept from it, so how much it has learnt was not measured."
    if bits > 2 * known + 1:  # more than even guessing blindly needs: no text is so hard, the steps were too long
        return f"{read} and guesses worse than by how common each {token} is: it diverged; a lower --lr helps."
    if round(bits, 2) >= round(known, 2):
        return f"{read} and knows no more yet than how common each {token} is; more time helps."
    what = f"a missing {unit}" if bidirectional else f"the next {unit}"
    return (
        f"{read}: in the part of the text that was kept from it, it now needs {bits:.2f} bits to guess {what}, "
        f"as if choosing between {_choices(bits)}; knowing only how common each {token} is, it would need "
        f"{known:.2f} bits, as if choosing between {_choices(known)}."
    )


def _how_often(passes: float) -> str:
    if passes < 0.95:
        return f"{passes:.0%} of the text".replace("%", " %")
    if passes < 1.05:
        return "the text once"
    return f"the text {passes:.1f} times" if passes < 10 else f"the text {passes:.0f} times"


def _choices(bits: float) -> str:
    """How many equally likely choices take so many bits to tell apart."""
    return f"{2**bits:.0f}" if bits >= 2 else f"{2**bits:.1f}"
