"""Training from Python: `train` yields events, `fit` returns the model."""

import io
import signal
import sys
import threading
import types
from pathlib import Path

import pytest

import charlstm
from charlstm.cli.views import notebook
from charlstm.errors import ConfigError, DivergedError, NotFoundError, UsageError
from charlstm.events import CheckpointSaved, Notice, Preview, Started, StepDone, Stopped


@pytest.fixture
def places(tmp_path):
    """A text, and where its runs and caches go."""
    (tmp_path / "my.txt").write_text("one two three four five six seven\n" * 60)
    return {"root": tmp_path / "runs", "cache": tmp_path / "cache"}


SMALL = {"hidden_size": 8, "preview": 0, "device": "cpu", "precision": "fp32", "threads": 1}


def my_text(places):
    return places["root"].parent / "my.txt"


def test_training_is_an_iterator_of_events(places):
    events = list(charlstm.train(my_text(places), **places, name="mine", max_steps=4, **SMALL))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Stopped)
    assert [event.step for event in events if isinstance(event, StepDone)] == [1, 2, 3, 4]
    model = charlstm.load("mine", root=places["root"])
    assert repr(model) == "<charlstm.Model mine: 1×8 lstm>"
    assert len(model.generate(length=12, seed=1)) == 12


@pytest.mark.parametrize("function", [charlstm.train, charlstm.fit])
def test_mistakes_are_reported_at_the_call(function, places):
    text = my_text(places)
    for settings, message in (
        ({"hiden_size": 3}, "did you mean hidden_size"),
        ({"nmae": "mine"}, "did you mean name"),
        ({"sources": ("english",)}, "no setting 'sources'"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"max_time": "5x"}, "max_time.*5x"),
        ({"max_time": True}, "max_time"),
        ({"name": ".."}, "run's name"),
    ):
        with pytest.raises(UsageError, match=message):
            function(text, **places, **settings)
    with pytest.raises(NotFoundError):
        function(places["root"] / "nothing.txt", **places)
    assert not places["root"].exists()


def test_a_name_that_is_taken_is_reported_at_the_call(places):
    charlstm.fit(my_text(places), **places, name="mine", max_steps=2, **SMALL)
    with pytest.raises(UsageError, match="already"):
        charlstm.train(my_text(places), **places, name="mine")
    model = charlstm.fit(my_text(places), **places, name="mine", max_steps=3, force=True, **SMALL)
    assert model.provenance.step == 3


def test_a_setting_of_none_is_one_that_is_not_given(places):
    model = charlstm.fit(my_text(places), **places, max_steps=2, max_time=None, num_layers=None, **SMALL)
    assert model.config.train.max_time is None


def test_budgets_are_written_as_on_the_command_line(places):
    model = charlstm.fit(my_text(places), **places, max_time="1m30s", save_every="2m", max_steps=2, **SMALL)
    assert (model.config.train.max_time, model.config.train.save_every) == (90.0, 120.0)
    model = charlstm.fit(my_text(places), **places, max_time="0.2s", **SMALL)
    assert (model.config.train.max_time, model.config.train.save_every) == (0.2, None)


def test_fitting_gives_the_model_that_was_saved(places, capfd):
    events = []
    model = charlstm.fit(my_text(places), **places, name="mine", max_steps=6, progress=events.append, **SMALL)
    assert isinstance(events[-1], Stopped)
    assert model.provenance.step == 6
    assert model.next("one ") == charlstm.load("mine", root=places["root"]).next("one ")
    assert capfd.readouterr() == ("", ""), "no bar where no terminal is"


@pytest.mark.parametrize("progress", ["yes", 3, None])
def test_progress_is_a_choice_or_a_function(progress, places):
    with pytest.raises(UsageError, match="progress"):
        charlstm.fit(my_text(places), **places, progress=progress)


def test_ctrl_c_returns_what_was_learnt(places):
    previous = signal.getsignal(signal.SIGINT)

    def press(event):
        if isinstance(event, StepDone) and event.step == 5:
            signal.raise_signal(signal.SIGINT)

    model = charlstm.fit(my_text(places), **places, name="mine", max_steps=100_000, progress=press, **SMALL)
    assert 5 <= model.provenance.step <= 7
    assert signal.getsignal(signal.SIGINT) is previous
    assert (places["root"] / "mine" / "resume.safetensors").exists()


def test_a_second_ctrl_c_interrupts(places):
    previous = signal.getsignal(signal.SIGINT)

    def press(event):
        if isinstance(event, StepDone):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        charlstm.fit(my_text(places), **places, max_steps=100, progress=press, **SMALL)
    assert signal.getsignal(signal.SIGINT) is previous


def test_fitting_in_a_thread_catches_no_signals(places):
    models = []
    thread = threading.Thread(
        target=lambda: models.append(charlstm.fit(my_text(places), **places, max_steps=2, **SMALL))
    )
    thread.start()
    thread.join(60)
    assert models[0].provenance.step == 2


def test_divergence_is_an_error(places):
    with pytest.raises(DivergedError, match="lower `lr`"):
        charlstm.fit(my_text(places), **places, lr=1e6, grad_clip=1e9, max_steps=200, name="mine", **SMALL)


def test_an_exception_of_the_callers_function_ends_training_and_releases_the_run(places):
    def fail(event):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        charlstm.fit(my_text(places), **places, name="mine", max_steps=9, progress=fail, **SMALL)
    assert charlstm.fit(my_text(places), **places, name="mine", force=True, max_steps=1, **SMALL).provenance.step == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar(places, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    charlstm.fit(my_text(places), **places, max_steps=3, **SMALL)
    assert "100%" in terminal.getvalue()
    terminal.truncate(0)
    charlstm.fit(my_text(places), **places, max_steps=3, progress=False, **SMALL)
    assert not terminal.getvalue().strip("\0")


@pytest.fixture
def ipython(monkeypatch):
    """An IPython that is the kernel of a notebook, as far as it is used; the list of all HTML it has shown."""
    shown = []

    class Handle:
        def update(self, bar):
            shown.append(bar._repr_html_())

    def display(bar, *, display_id):
        assert display_id
        shown.append(bar._repr_html_())
        return Handle()

    package, part = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    part.display = display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return shown


def test_a_notebook_shows_a_bar_in_place(places, ipython, monkeypatch, capfd):
    monkeypatch.setattr(notebook, "_EVERY", 0)
    charlstm.fit(my_text(places), **places, max_steps=3, **SMALL)
    assert 'value="0.0000"' in ipython[0]
    assert 'value="1.0000"' in ipython[-1]
    assert f"finished; saved in {places['root']}" in ipython[-1]
    assert len(ipython) > 4
    assert capfd.readouterr() == ("", "")


def test_text_cannot_become_markup_in_a_notebook(ipython):
    from charlstm.cli.views.progress import Pace

    with notebook.NotebookBar("char", Pace(None), Path("run")) as cell:
        cell.show(Preview(1, "<script>\x1b[2J"))
        cell.show(Notice(1, "<b>my file</b>"))
    assert "&lt;script&gt;␛[2J" in ipython[-1]
    assert "<b>" not in ipython[-1]
    assert "<" not in repr(cell)


def test_events_name_the_files(places):
    events = list(charlstm.train(my_text(places), **places, name="mine", max_steps=2, **SMALL))
    saved = {event.kind: event.path for event in events if isinstance(event, CheckpointSaved)}
    assert saved["model"] == str(places["root"] / "mine" / "model.safetensors")
    with pytest.raises(ConfigError):
        charlstm.train(my_text(places), **places, max_steps=-1)
