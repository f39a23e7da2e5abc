"""Watching a network learn: lines rewritten in place, at every size of a terminal, and nothing odd in a pipe."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color

from charlstm.cli.views.live import ASCII, BLOCKS, COLOUR, Live, signs_for, sparkline
from charlstm.cli.views.opening import opening
from charlstm.cli.views.progress import Lines, Pace
from charlstm.cli.views.region import Region
from charlstm.events import EvalDone, Notice, Preview, Started, StepDone
from tests.cli.screen import Screen
from tests.command_line import start

TEXT = "The ferryman wrote nothing down, and he drew a goose; unforgettably so. 天地玄黃宇宙洪荒 " * 9
ANY_TEXT = "The quick brown fox jumps over the lazy dog; 12 wizards (and 3 cats) watch.\n" * 30


def a_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns that stderr leads to; pytest takes stderr back after a fixture."""
    terminal = Screen()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def step(number: int, share: float) -> StepDone:
    return StepDone(number, share, 1.5, 0.01, 1.0, 1000 * number, 60 * share)


def evaluation(bits: float) -> EvalDone:
    return EvalDone(1, 1.5, bits * math.log(2), bits, "last", True, 24.2)


def a_training(view: Live | Lines) -> None:
    view.show(Started("my-1", 0, 1000, 1000, 100))
    view.show(step(1, 0.4))
    for bits in (4.0, 3.0, 2.42):
        view.show(evaluation(bits))
    view.show(Preview(1, "\nfirst preview\n\nwith an empty line\n"))
    view.show(Preview(1, TEXT))


def test_one_preview_stands_below_a_rule_and_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    with Live("char", Pace(60.0)) as view:
        a_training(view)
        assert "validation 4.00 bits per character" in re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue())
        bar, course, rule, *preview = screen.lines()
        assert bar.startswith(" 40% ━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌ 36 s left · loss 1.500")
        assert course == "validation █▄▁ 2.42 bits per character"
        assert rule.startswith("── 24 s · 2.42 bits per character ──")
        assert "first preview" not in "".join(screen.lines())
        assert " ".join(preview).split()[:5] == ["The", "ferryman", "wrote", "nothing", "down,"]
        assert "\x1b[2m── 24 s" in screen.getvalue(), "the rule is dim"
        assert "38;5;31m" in screen.getvalue()
        view.show(Notice(2, "the text has changed; use `batch_size=4`"))
        assert screen.lines() == ["the text has changed; use --batch-size 4", bar, course, rule, *preview]
    assert screen.lines() == ["the text has changed; use --batch-size 4", course]


@pytest.mark.parametrize("columns", [24, 40, 60, 80, 200])
@pytest.mark.parametrize("rows", [2, 4, 6, 10, 24])
def test_it_never_exceeds_the_terminal_and_words_stay_whole(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    screen = a_screen(monkeypatch)
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(rows))
    with Live("char", Pace(60.0)) as view:
        a_training(view)
        lines = screen.lines()
        assert len(lines) < rows, "the last line is for the cursor"
        assert max(map(cell_len, lines)) < columns
        assert all(line == line.rstrip() for line in lines[1:])
        if columns >= 40:
            assert "36 s left" in lines[0]
        if rows > 6:
            whole = "".join(lines[3:]).removesuffix(" …").replace(" ", "")
            assert TEXT.replace(" ", "").startswith(whole)
            assert set(re.findall("[a-zA-Z]+", " ".join(lines[3:]))) <= set(re.findall("[a-zA-Z]+", TEXT))
        if len(lines) == rows - 1 > 3:
            assert lines[-1].endswith("…")


def test_a_narrower_window_leaves_no_old_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    from rich.text import Text

    region = Region()
    region.draw([Text("x" * 70), Text("short")])
    monkeypatch.setenv("COLUMNS", "40")  # the terminal has wrapped the long line, so that they are three
    before = len(screen.getvalue())
    region.draw([Text("new")])
    assert screen.getvalue()[before:].startswith("\r\x1b[3A\x1b[J")


def test_a_message_from_a_signal_handler_waits_until_the_lines_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.text import Text

    a_screen(monkeypatch)
    region = Region()
    written = Screen.write

    class Interrupting(Screen):
        def write(self, text: str) -> int:
            if "bar" in text and not self.getvalue():
                region.say("saving")  # Python runs a handler between any two instructions
                assert not self.getvalue(), "a second write began inside the first"
            return written(self, text)

    terminal = Interrupting()
    monkeypatch.setattr("sys.stderr", terminal)
    region.draw([Text("bar")])
    assert terminal.lines() == ["saving", "bar"]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.integers(1, 60))
def test_a_sparkline_has_its_highest_and_its_lowest_sign(values: list[float], columns: int) -> None:
    line = sparkline(values, columns, BLOCKS.levels)
    assert len(line) == min(len(values), columns)
    if len(values) <= columns and max(values) - min(values) > 1e-9:
        assert line[values.index(max(values))] == "█"
        assert line[values.index(min(values))] == "▁"
        order = sorted(range(len(values)), key=values.__getitem__)
        assert [line[place] for place in order] == sorted(line)


def test_many_evaluations_are_drawn_as_means_of_parts() -> None:
    assert sparkline([8, 6, 5, 3, 1, 1], 3, "abcdefgh") == "hea"
    assert sparkline([2.0, 2.0], 10, "abcdefgh") == "aa"


def test_signs_are_those_that_the_encoding_can_print(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    assert signs_for("utf-8") is BLOCKS
    for encoding in ("ascii", "latin-1", "cp1252", None, "no-such-encoding"):
        assert signs_for(encoding) is ASCII
    assert all(map(str.isascii, ASCII))
    monkeypatch.setattr(Screen, "encoding", "ascii")
    with Live("char", Pace(60.0)) as view:
        a_training(view)
        view.show(Preview(1, "plain"))
        assert "".join(screen.lines()).isascii()


def luminance(colour: Color) -> float:
    """The relative luminance of WCAG 2."""
    parts = [part / 255 for part in colour.get_truecolor()]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_colour_stands_out_on_dark_and_on_white() -> None:
    light = luminance(Color.parse(COLOUR))
    assert min(1.05 / (light + 0.05), (light + 0.05) / 0.05) >= 3, "what WCAG 2 asks of what is no text"


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = a_screen(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    with Live("char", Pace(60.0)) as view:
        a_training(view)
    assert "38;5" not in screen.getvalue()
    assert "█▄▁" in screen.getvalue()


def test_lines_have_no_blanks_at_their_ends_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    a_training(Lines("char", Pace(60.0)))
    shown = capsys.readouterr().err
    assert "preview after 24 s · 2.42 bits per character:\n  | first preview\n  |\n  | with an empty line\n" in shown
    assert all(line == line.rstrip() for line in shown.split("\n"))
    assert shown.replace("\n", "").isprintable()


# ---- before the first step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "told"), [(False, "stopped before the first step: nothing has changed\n"), (True, "")]
)
def test_ctrl_c_before_the_first_step_says_that_nothing_is_lost(capsys, quiet: bool, told: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        with opening(["english"], quiet=quiet):
            raise KeyboardInterrupt
    assert capsys.readouterr().err == told


def test_the_opening_shows_the_text_with_its_size_and_the_stages_and_then_vanishes(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    screen = a_screen(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text("x" * 2500)
    with opening(["my.txt"], quiet=False) as shown:
        assert screen.lines() == ["my.txt: 2.5 kB", "loading PyTorch"]
        shown.reading(1000, 2500)
        assert screen.lines()[1] == "reading 40%"
        shown.measuring()
        assert screen.lines()[1] == "measuring this machine"
    assert screen.lines() == [""]
    before = len(screen.getvalue())
    with opening(["-", "python:docs"], quiet=False):
        assert screen.lines()[0] == "-, python:docs"
    with opening(["english"], quiet=False):
        assert "english: 26" in screen.getvalue()[before:]
    with opening(["english"], quiet=True) as silent:
        silent.measuring()
    assert "measuring" not in screen.getvalue()[before:]


ON_A_TERMINAL = """
import sys
from charlstm.cli import app, interrupts
def load_torch():
    assert "torch" not in sys.modules
    print("NOW", file=sys.stderr)
    raise KeyboardInterrupt
interrupts.load_torch = load_torch
sys.argv = ["charlstm", "train", "my.txt"]
app.main()
"""


def seen(descriptor: int, until: str = "\0") -> str:
    """What a terminal gets, up to a text or to its end."""
    shown = ""
    while until not in shown:
        try:
            block = os.read(descriptor, 65536)
        except OSError:  # how Linux reports that the other end is closed
            break
        if not block:
            break
        shown += block.decode()
    return shown


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_the_text_is_named_before_torch_is_loaded(tmp_path, term: str) -> None:
    import pty

    (tmp_path / "my.txt").write_text(ANY_TEXT)
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL], stderr=follower, stdout=follower, cwd=tmp_path,
        env={**os.environ, "TERM": term, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        os.close(follower)
        shown = seen(leader)
    os.close(leader)
    assert process.returncode == 130
    before, _, after = shown.partition("NOW")
    assert "my.txt: 2.28 kB" in before
    assert "Traceback" not in after
    if term == "dumb":
        assert "\x1b" not in shown
    else:
        screen = Screen()
        screen.write(shown.replace("\r\n", "\n").replace("NOW\n", ""))
        assert screen.lines() == ["stopped before the first step: nothing has changed"]


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_ctrl_c_on_a_terminal_says_so_above_the_view_and_leaves_only_messages(tmp_path, monkeypatch) -> None:
    import pty

    (tmp_path / "my.txt").write_text(ANY_TEXT)
    leader, follower = pty.openpty()
    options = ("--epochs", "1e6", "--hidden-size", "8", "--threads", "1", "--device", "cpu", "--preview", "20")
    monkeypatch.setenv("TERM", "xterm-256color")
    process = start("train", "my.txt", *options, "--init-from", "none", folder=tmp_path, stderr=follower)
    os.close(follower)
    shown = seen(leader, "loss ")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    shown += seen(leader)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 130
    os.close(leader)
    screen = Screen()
    screen.write(shown.replace("\r\n", "\n"))
    lines = screen.lines()
    assert lines[-3].startswith("finishing this step and saving; press Ctrl-C again")
    assert lines[-2].startswith("saved. Continue with: charlstm train --resume my-1")
    assert lines[-1].startswith("How it went: checkpoints/my-1/report.html")
    assert lines[0].startswith("my.txt: 2.28 k characters")
    assert not any("━" in line for line in lines)
    assert "\x1b[?25l" not in shown, "the cursor is never hidden"
