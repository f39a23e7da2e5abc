"""The page about a training run, or about several side by side: how they went, their curves, what they wrote."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from charlstm.inspect.pages.run_charts import common_baselines, loss_chart, step_charts, units_of
from charlstm.inspect.pages.run_facts import commands, settings
from charlstm.inspect.runs import RunRecord
from charlstm.report.amounts import count, counted, duration, measured
from charlstm.report.blocks import Block, Frames, Page, Section, Table, Text

_MOST_FRAMES = 24
"""Moments at which several runs are compared."""
_HOPELESS = 100.0
"""A loss beyond anything that could have been learnt: that of weights out of range."""
_ENDS = {
    "finished": "Its budget was used up",
    "interrupted": "It was stopped",
    "early": "It stopped early, because evaluations showed no more progress",
    "diverged": "It diverged",
}


def run_page(runs: Sequence[RunRecord]) -> Page:
    """Arrange what is known of runs as a page.

    Args:
        runs: at least one.

    Returns:
        The page; what was not recorded is left out.
    """
    sections = (
        Section("How it went" if len(runs) == 1 else "How they went", tuple(_outcome(runs))),
        Section("Losses", tuple(_losses(runs))),
        Section("Watch it learn to write", tuple(map(_previews, runs)) if len(runs) == 1 else ()),
        Section("At equal time", tuple(_at_equal_time(runs))),
        Section("Learning rate, gradient and speed", step_charts(runs)),
        Section("Settings", tuple(settings(runs))),
        Section("Machine and commands", tuple(commands(runs))),
    )
    names = ", ".join(run.name for run in runs)
    return Page(
        "report",
        f"Training run {names}" if len(runs) == 1 else f"Training runs {names}",
        _about(runs),
        tuple(section for section in sections if any(_has_content(block) for block in section.blocks)),
        {"runs": [_data(run) for run in runs]},
        f"charlstm report {names}",
    )


def _has_content(block: Block) -> bool:
    return not isinstance(block, Frames) or bool(block.frames)


def _about(runs: Sequence[RunRecord]) -> str:
    """What was trained on what, in a sentence."""
    run = runs[0]
    texts = {name for each in runs if each.header and (name := each.header.provenance.corpus.name)}
    on = f" on {', '.join(sorted(texts))}" if texts else ""
    if len(runs) > 1:
        return f"{len(runs)} networks, trained{on}."
    begun = run.history.sessions[-1] if run.history.sessions else None
    size = run.header.parameters if run.header else begun.parameters if begun else None
    what = "A network" if size is None else f"A network of {counted(size, 'parameter')}"
    parts = [f"{what}, trained{on} for {duration(run.seconds)}."]
    if begun is not None:
        parts.append(
            f"It has {counted(begun.train_tokens, 'token')} to train on, and {counted(begun.val_tokens, 'token')} are "
            "kept for validation."
        )
    return " ".join(parts)


# ---- how it went ------------------------------------------------------------------------------------------------


def _outcome(runs: Sequence[RunRecord]) -> Iterator[Block]:
    names = len(runs) > 1
    for run in runs:
        sentences = [*_result(run), *_end(run), run.diagnosis]
        text = " ".join(sentence for sentence in sentences if sentence)
        yield Text(f"{run.name}: {text}" if names else text)
    yield Table(
        ("run", units_of(runs[0]).loss, "parameters", f"{units_of(runs[0]).text} read", "passes", "time", "steps"),
        tuple(tuple(_row(run)) for run in runs),
    )


def _result(run: RunRecord) -> Iterator[str]:
    best = best_bits(run)
    if best is None:
        yield "No validation text was scored, so how much it has learnt was not measured."
        return
    units = units_of(run)
    choices = math.exp(min(best / units.bits_per_nat / units.characters_per_token, _HOPELESS))
    choosing = f", as if choosing between {choices:.3g}" if best < _HOPELESS else ""
    yield f"At best it needs {measured(best, 3)} {units.loss}{choosing}."
    if run.baselines:
        others = ", ".join(f"{name} {bits:.3f}" for name, bits in run.baselines.items())
        beaten = [name for name, bits in run.baselines.items() if best < bits]
        verdict = "all of them" if len(beaten) == len(run.baselines) else ", ".join(beaten) or "none of them"
        yield f"Without a network: {others}; it is better than {verdict}."
    if run.baselines_note:
        yield run.baselines_note


def _end(run: RunRecord) -> Iterator[str]:
    stopped = run.history.stopped
    if stopped is not None:
        message = f": {stopped.message}" if stopped.message else ""
        yield f"{_ENDS[stopped.reason]} after {stopped.step:,} step{'s' * (stopped.step != 1)}{message}."
    elif run.history.sessions:
        yield "No end is recorded: it is being trained, or its last session was killed."
    else:
        yield "No record of its training is beside it."


def best_bits(run: RunRecord) -> float | None:
    """Return the lowest validation loss of a run in the unit of its losses; None without one."""
    losses = [each.val_loss for each in run.history.evaluations if math.isfinite(each.val_loss)]
    about = None if run.header is None else run.header.provenance.val_loss
    losses += [] if about is None else [about]
    return min(losses) * units_of(run).bits_per_nat if losses else None


def _row(run: RunRecord) -> Iterator[str]:
    best, units = best_bits(run), units_of(run)
    sessions, step = run.history.sessions, run.history.end.step
    size = run.header.parameters if run.header else sessions[-1].parameters if sessions else None
    yield run.name
    yield "-" if best is None else measured(best, 3)
    yield "-" if size is None else count(size)
    yield count(run.tokens * units.characters_per_token)
    yield f"{run.tokens / sessions[-1].train_tokens:.2f}" if sessions and sessions[-1].train_tokens else "-"
    yield duration(run.seconds)
    yield f"{max(step, (run.header.provenance.step or 0) if run.header else 0):,}"


# ---- curves and samples -----------------------------------------------------------------------------------------


def _losses(runs: Sequence[RunRecord]) -> Iterator[Block]:
    for against in ("text", "time"):
        chart = loss_chart(runs, against)
        if chart is not None:
            yield chart
    if common_baselines(runs):
        yield Text(
            "The dashed levels are what the same text costs without a network: order 2 is the frequency of each "
            f"{runs[0].unit} after the two before it, with Witten-Bell smoothing; gzip and xz are what the text adds "
            "to the compressed training text. Long texts are measured in part."
        )


def _previews(run: RunRecord) -> Frames:
    """Every preview, the last one in view."""
    labels, frames = [], []
    for preview in run.history.previews:
        place = run.history.place(preview.step)
        labels.append(_compact(place.seconds))
        frames.append((Text(f"After {_place(run, place.seconds, place.tokens)}:"), Text(preview.text, is_code=True)))
    return Frames("What it wrote", tuple(labels), tuple(frames), max(0, len(frames) - 1))


def _place(run: RunRecord, seconds: float, tokens: float) -> str:
    """``12 s, 1.3 M characters read, 2.134 bits per character``."""
    units = units_of(run)
    parts = [duration(seconds), f"{count(tokens * units.characters_per_token)} {units.text} read"]
    losses = [each.val_loss for each in run.history.evaluations if each.seconds <= seconds + 1e-6]
    if losses:
        parts.append(f"{measured(losses[-1] * units.bits_per_nat, 3)} {units.loss}")
    return ", ".join(parts)


def _at_equal_time(runs: Sequence[RunRecord]) -> Iterator[Block]:
    """What all runs had learnt and wrote at the same moments, up to the end of the shortest."""
    if len(runs) < 2:
        return
    end = min(run.seconds for run in runs)
    written = sorted(run.history.place(each.step).seconds for run in runs for each in run.history.previews)
    by_label = {_compact(moment): moment for moment in [*written, end] if 0 < moment <= end}
    moments = list(by_label.values())
    chosen = moments[::-1][:: math.ceil(len(moments) / _MOST_FRAMES) or 1][::-1]  # always with the last
    frames = tuple(tuple(_moment(runs, seconds)) for seconds in chosen)
    yield Frames("After equal time", tuple(map(_compact, chosen)), frames, max(0, len(frames) - 1))


def _moment(runs: Sequence[RunRecord], seconds: float) -> Iterator[Block]:
    for run in runs:
        step = _step_at(run, seconds)
        yield Text(f"{run.name} after {_place(run, seconds, run.history.place(step).tokens)}:")
        texts = [each.text for each in run.history.previews if run.history.place(each.step).seconds <= seconds + 1e-6]
        yield Text(texts[-1] if texts else "(nothing yet)", is_code=True)


def _step_at(run: RunRecord, seconds: float) -> int:
    """The last recorded step by then."""
    history, late = run.history, seconds + 1e-6
    known = [each.step for each in history.steps if each.seconds <= late]
    return max([*known, *(each.step for each in history.evaluations if each.seconds <= late)], default=0)


def _compact(seconds: float) -> str:
    """A length of time without blanks, as it is typed: ``12s``, ``1m18s``, ``2h5m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}s" if whole < 10 else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60}m"


# ---- data -------------------------------------------------------------------------------------------------------


def _data(run: RunRecord) -> dict[str, Any]:
    """Everything about a run as values that JSON can hold; a number that is not finite is None."""
    history = run.history
    events: dict[str, Sequence[Any]] = {
        "sessions": history.sessions,
        "steps": history.steps,
        "evaluations": history.evaluations,
        "previews": history.previews,
        "notices": history.notices,
    }
    about = {} if run.header is None else run.header.provenance.to_plain()
    stopped = None if history.stopped is None else asdict(history.stopped)
    values = {
        "name": run.name,
        "folder": str(run.folder),
        "unit": units_of(run).loss,
        "best": best_bits(run),
        "baselines": dict(run.baselines),
        "diagnosis": run.diagnosis,
        "continue_with": run.continue_with,
        "settings": run.settings,
        "provenance": about,
        **{name: [asdict(event) for event in kind] for name, kind in events.items()},
        "stopped": stopped,
    }
    finite: dict[str, Any] = _finite(values)
    return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
