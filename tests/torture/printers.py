"""All that prints texts of others on a terminal, by name: each takes a text and prints all of it."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from charlstm import events
from charlstm.checkpoint.summary import Comparison, Summary
from charlstm.cli import app
from charlstm.cli.commands import doctor, fill
from charlstm.cli.views import (
    checkpoints,
    corpora,
    lab,
    opening,
    pages,
    plan,
    score,
    surprise,
    sweep,
    texts,
    tune,
    ways,
)
from charlstm.cli.views.live import Live
from charlstm.cli.views.progress import Lines, Pace
from charlstm.cli.views.region import Region
from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import say, stdout_console
from charlstm.cli.write_session import Session
from charlstm.corpora.check import Finding, OddCharacter
from charlstm.corpora.describe import NamedCorpus
from charlstm.corpora.stats import NewlineCounts, Stats
from charlstm.errors import CharlstmError, UsageError
from charlstm.evaluation.score import EncodedText, Score
from charlstm.filling.config import Filling
from charlstm.inspect.sweep import Swept
from charlstm.lab.progress import Progress
from charlstm.report.blocks import Boxes, Frames, HeatMap, Page, Points, Section, Shaded, Strip, Table, Text
from charlstm.report.charts import Bars, Chart, Curve
from charlstm.report.experiment import Result
from charlstm.report.scales import LIKELY, SURPRISE, signed
from charlstm.sampling.config import SampleConfig
from charlstm.sampling.fragments import Fragment
from charlstm.sampling.ways import Way
from charlstm.tokenizers import CharTokenizer
from charlstm.tuning import events as search
from tests.fake_models import Markov

COLUMNS, LINES = 160, 4000
SCALE = signed(1, "value")


class Terminal(io.StringIO):
    """A terminal that takes UTF-8 and remembers all that is written to it."""

    encoding = "utf-8"

    def __init__(self, typed: str = "") -> None:
        super().__init__(typed)
        self.buffer = io.BytesIO(typed.encode(errors="surrogateescape"))

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(monkeypatch: Any, typed: str = "") -> Iterator[Terminal]:
    """Let both standard streams lead to one terminal, of 160 columns and thousands of lines.

    Args:
        monkeypatch: pytest's.
        typed: what a person types.

    Yields:
        The terminal.
    """
    shown, keyboard = Terminal(), Terminal(typed)
    with monkeypatch.context() as patch:
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}.items():
            patch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
            patch.delenv(name, raising=False)
        for name, stream in {"stdout": shown, "stderr": shown, "stdin": keyboard}.items():
            patch.setattr(sys, name, stream)
        yield shown


def lines_of(text: str, length: int = 100) -> tuple[str, ...]:
    """A text in parts that no view cuts off."""
    return tuple(text[begin : begin + length] for begin in range(0, len(text), length))


def as_typed(text: str) -> str:
    """What of a text can be typed or read: of halves of surrogate pairs only those that stand for other bytes."""
    return re.sub(r"[\ud800-\udc7f\udd00-\udfff]", "", text)


# ---- streams and messages ---------------------------------------------------------------------------------------


def drawn(text: str, *, bold: bool = False) -> None:
    output = Output()
    for part in lines_of(text):
        output.write(part, bold=bold)
    output.end_line()


def title(text: str) -> None:
    output = Output()
    output.rule(text)
    output.flush()


def error(text: str) -> None:
    app._report(app.error_line(UsageError(text, where=text, hint=text)), 2)


def os_error(text: str) -> None:
    app._os_error(OSError(5, text, text))


def unknown_option(text: str) -> None:
    import typer

    app._usage(typer.BadParameter(text))


def plain_events(text: str) -> None:
    view = Lines("char", Pace(None))
    view.show(events.Notice(1, text))
    view.show(events.Preview(1, text))


def live_events(text: str) -> None:
    with Live("char", Pace(None)) as view:
        view.show(events.Notice(1, text))
        view.show(events.Preview(1, "\n".join(lines_of(text))))


def region(text: str) -> None:
    Region().say(text)


def opened(text: str) -> None:
    with opening.opening([text], quiet=False):
        pass


def bar_of_a_lab(text: str) -> None:
    with lab._progress_display() as show:
        for part in lines_of(text, 20):
            show(Progress(0.5, part))


# ---- views -------------------------------------------------------------------------------------------------------


def runs(text: str) -> None:
    summaries = [
        Summary(text, text, 0.0, 1, text, 1, text, 1.0, 1.0, None, 1, text, text=text),
        Summary(text, text, 0.0, fault=text, broken=True),
    ]
    checkpoints.draw_list(stdout_console(), summaries)


def a_run(text: str) -> None:
    provenance = {"command": text, "corpus": {"name": text}, "list": [text]}
    rows = [(name, checkpoints.shown(name, value)) for name, value in provenance.items()]
    rows.append(("tokenizer", checkpoints._tokenizer({"kind": text, "alphabet": text})))
    rows.append(("data", checkpoints._settings({text: text})))
    checkpoints.draw_show(stdout_console(), rows)


def files_of_runs(text: str) -> None:
    checkpoints.draw_verdicts(stdout_console(), [(text, None), (text, text)])


def two_runs(text: str) -> None:
    differing = {text: (text, [text])}
    checkpoints.draw_comparison(
        stdout_console(), Comparison(differing, differing, (text, text), False, False), text, text
    )


def named_texts(text: str) -> None:
    for kind in ("bundled", "catalogue", "local", "synthetic"):
        corpora.draw_list(stdout_console(), [NamedCorpus(text, kind, text, text)], Path(text.replace("\0", "")))


def a_named_text(text: str) -> None:
    values = dict.fromkeys(("name", "description", "licence", "address", "sha256", "place"), text)
    corpora.draw_show(
        stdout_console(), {**values, "size": 1, "kind": "local", "ready": True, "first_lines": lines_of(text)}
    )


def numbers_of_a_text(text: str) -> Stats:
    counts = dict.fromkeys(text, 1)
    return Stats(text, text, 1, 1, {text: 1, "utf-8": 1}, 1, 1, 1, NewlineCounts(), counts, 1.0, {text: 1.0})


def a_text_in_numbers(text: str) -> None:
    for part in lines_of(text):
        corpora.draw_stats(stdout_console(), numbers_of_a_text(part))


def a_text_checked(text: str) -> None:
    for part in lines_of(text, 1000):
        odd = tuple(OddCharacter(character, character, character, 1, 0, 1) for character in part[:20])
        result: Any = SimpleNamespace(
            stats=numbers_of_a_text(part), odd=odd, sampled=1, findings=(Finding(True, part),), verdict=part
        )
        corpora.draw_check(stdout_console(), result)


def a_plan(text: str) -> None:
    plan._draw_settings(stdout_console(), [("data.sources", text, text)])
    plan._draw_costs(stdout_console(), [("writes", text)])


def a_score(text: str) -> None:
    for part in lines_of(as_typed(text), 40):  # more of it would not be among the hardest places
        tokenizer = CharTokenizer("".join(sorted(set(part))))
        rising = np.linspace(0.1, 9, len(part), dtype=np.float32)
        result = Score(rising, EncodedText.of(part, tokenizer), tokenizer)
        surprise.show(result)
        score.print_json({"checkpoint": part}, [result], {part: 1.0}, {"lr": part})


def several_ways(text: str) -> None:
    tokenizer = [Fragment(0, part, 0, -1.0, None) for part in lines_of(text)]
    ways.show_ways(text, [Way(tuple(tokenizer))] * 2)


def several_temperatures(text: str) -> None:
    sweep.show_columns([Swept(value, text, 1.0, 0.0) for value in (0.5, 1.0)], "temperature", text, "character")


def texts_as_json(text: str) -> None:
    for part in lines_of(text):
        tokenizer = CharTokenizer("".join(sorted(set(part))))
        loaded: Any = SimpleNamespace(model=SimpleNamespace(tokenizer=tokenizer), origin={"checkpoint": part})
        line = texts.TextsAsJson(loaded, part, SampleConfig(stop=part), {"match": part})
        fragments = [Fragment(0, character, id, -1.0, None) for id, character in enumerate(sorted(set(part)))]
        Output().write(line.line(1, fragments, note=part))


def filled(text: str) -> None:
    answer = Filling(text, (text,), 0.5)
    fill._show((text, text), [answer])
    fill._show((text, text), [answer, answer])


def an_experiment(text: str) -> None:
    parts = lines_of(text)
    rows = tuple((part, part) for part in parts)
    lab._print_result(Result("x", text, text, (parts[0], parts[-1]), rows, (), (text,)))
    curves = tuple(Curve.from_seeds(part[:20], [1, 2], [[1, 2]], 0) for part in parts[:2])
    lab._print_result(Result("x", "x", "x", ("x",), (("x",),), (Chart(parts[0], parts[0], parts[0], curves),), ()))


def a_search(text: str) -> None:
    trial = search.Trial(1, "finished", 1.0, 1.0, 1.0, {text: 1.0}, {text: 1.0}, text)
    failed = search.Trial(2, "failed", None, None, 1.0, {text: 1.0}, {text: 1.0}, text)
    done = search.SearchDone("finished", trial, (trial, failed), text, text, 1.0)
    started = search.SearchStarted(text, {text: 1.0}, 1.0, 1, 1.0), search.SearchStarted(text, {text: 1.0}, 1.0, 0, 1.0)
    for event in (*started, search.TrialDone(trial, trial, 1.0), search.TrialDone(failed, trial, 1.0)):
        tune._show_progress(event, 1)
        print(search.to_json(event))
    print(search.to_json(done))
    tune._show_result(done, [text], 1.0)


def training_as_json(text: str) -> None:
    for event in (events.Notice(1, text), events.Preview(1, text), events.Stopped(1, "diverged", 1.0, 1.0, text)):
        print(events.to_json(event))


def facts(text: str) -> None:
    doctor._show({"runs": text})


def session(text: str) -> None:
    """Line by line: text typed in bold, text of the network, an unknown command, a setting."""
    from charlstm.sampling.cowriter import CoWriter

    for part in lines_of(text):
        alphabet = "".join(sorted({*part, "\n", "/"}))
        network = Markov(np.zeros((len(alphabet), len(alphabet))), CharTokenizer(alphabet))
        each = Session(CoWriter(network, SampleConfig(length=5)), "error")
        for line in ("/" + part, "/set " + part, "/temp " + part, "/save /nowhere/" + as_typed(part), "9" * 9):
            try:
                each._execute(line)
            except CharlstmError as fault:
                say(str(fault))
        each._execute("//" + part)
        each._execute("/nl " + part)
        for line in ("", "/alt 2", "/show", "/undo", "/redo"):
            each._execute(line)


# ---- pages -------------------------------------------------------------------------------------------------------


def page_of(*shown: Any) -> Callable[[str], Page]:
    return lambda text: Page("x", text, text, (Section(text, tuple(make(text) for make in shown)),), {"a": text}, text)


def many(parts: Sequence[str]) -> tuple[float, ...]:
    return (0.5,) * len(parts)


def strip(text: str) -> Strip:
    return Strip("", tuple(text), many(text), SURPRISE, tuple(((character, 0.5),) for character in text), text)


def points(text: str) -> Points:
    """Of few labels: only so many have room on a plane."""
    labels = tuple(text[:50])
    places = tuple(map(float, range(len(labels))))
    return Points(text, labels, places, places, (), text)


PAGES = {
    "text": page_of(Text, lambda text: Text(text, is_code=True)),
    "table": page_of(lambda text: Table(("a", text), ((text, text),), text)),
    "bars": page_of(lambda text: Bars(text, text, lines_of(text), many(lines_of(text)), lines_of(text))),
    "map": page_of(lambda text: HeatMap(text, np.zeros((2, len(text))), SCALE, tuple(text), (text[:30], "b"), text)),
    "shaded": page_of(lambda text: Shaded(text, tuple(zip(text, many(text), strict=True)), SCALE, caption=text)),
    "strip": page_of(strip),
    "points": page_of(points),
    "boxes": page_of(lambda text: Boxes(text, text[:20], (text[:20], "b"), (-1, 0), (0.9, 0.5), LIKELY, text)),
    "frames": page_of(lambda text: Frames(text, lines_of(text), tuple((Text(part),) for part in lines_of(text)))),
}


def page(name: str) -> Callable[[str], None]:
    def show(text: str) -> None:
        for as_json in (False, True):
            pages.Forms(as_json=as_json).present(PAGES[name](text))

    return show


PRINTERS: dict[str, Callable[[str], None]] = {
    "a message": say,
    "drawn text": drawn,
    "typed text": lambda text: drawn(text, bold=True),
    "title": title,
    "error": error,
    "error of the system": os_error,
    "unknown option": unknown_option,
    "training in lines": plain_events,
    "training as JSON": training_as_json,
    "opening": opened,
    "training live": live_events,
    "message above a region": region,
    "bar of a lab": bar_of_a_lab,
    "list of runs": runs,
    "a run": a_run,
    "files of runs": files_of_runs,
    "two runs": two_runs,
    "named texts": named_texts,
    "a named text": a_named_text,
    "a text in numbers": a_text_in_numbers,
    "a text checked": a_text_checked,
    "plan": a_plan,
    "score": a_score,
    "ways": several_ways,
    "sweep": several_temperatures,
    "texts as JSON": texts_as_json,
    "filled text": filled,
    "experiment": an_experiment,
    "search": a_search,
    "facts": facts,
    "session": session,
    **{f"page: {name}": page(name) for name in PAGES},
}
