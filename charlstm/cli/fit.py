"""`charlstm.fit`: training as one call, with a progress bar and Ctrl-C, for a person at a prompt or in a notebook.

It stands here and not beside `charlstm.api.train`, since it shows something: below the command line nothing does.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Unpack

from charlstm.api.model import Model
from charlstm.api.settings import Settings, with_settings
from charlstm.api.train import new_run
from charlstm.checkpoint.format import read_model
from charlstm.checkpoint.run import MODEL
from charlstm.checkpoint.store import ROOT
from charlstm.cli.views.notebook import NotebookBar, in_notebook
from charlstm.cli.views.progress import Pace, progress_bar
from charlstm.cli.views.terminal import can_redraw
from charlstm.errors import DivergedError, UsageError
from charlstm.events import Event, Stopped

if TYPE_CHECKING:
    from charlstm.training.loop import Training

Show = Callable[[Event], object]


@with_settings
def fit(
    *sources: str | Path,
    progress: bool | Show = True,
    name: str | None = None,
    root: str | Path = ROOT,
    cache: str | Path | None = None,
    force: bool = False,
    init_from: str | Path | None = None,
    **settings: Unpack[Settings],
) -> Model:
    """Train a network on a text and return it; every setting that is not given is chosen automatically.

    Ctrl-C ends training early: what it has learnt is saved, and returned. A second one interrupts as usual.

    Args:
        sources: files, folders, globs or names of corpora; none is the bundled corpus.
        progress: True shows a bar on a terminal or in a notebook, and elsewhere nothing; False shows nothing; a
            function is called with each event (`charlstm.Event`).
        name: the run's name; None is the corpus and a number.
        root: the folder of runs; the model is also at ``root/name``.
        cache: where encoded texts are kept; None is this system's cache folder.
        force: replace a run of that name.
        init_from: the run whose weights this one begins with, as in `charlstm.train`.
        settings: those of `charlstm.Settings`, as ``hidden_size=256, max_time="5m"``.

    Returns:
        The model, as `charlstm.load` gives it: the best weights of the run.

    Raises:
        DivergedError: the loss is no longer a finite number.
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    if not (isinstance(progress, bool) or callable(progress)):
        raise UsageError(f"`progress={progress!r:.40}` must be True, False or a function of an event")
    with progress_bar("encoding", quiet=progress is not True) as encoding:
        run = new_run(
            sources, settings, name=name, root=root, cache=cache, force=force, init_from=init_from, progress=encoding
        )
    training = run.training
    with _shown(training, progress) as show, _interrupt() as stop, closing(run.events(stop)) as events:
        for event in events:
            show(event)
    if isinstance(event, Stopped) and event.reason == "diverged":
        raise DivergedError(event.message, hint="Start again with a lower `lr` or a lower `grad_clip`.")
    return Model(read_model(training.folder / MODEL))


@contextmanager
def _shown(training: Training, progress: bool | Show) -> Iterator[Show]:
    """Where the events go."""
    kind, pace = training.tokenizer.kind, Pace(training.run.train.max_time)
    if callable(progress):
        yield progress
    elif progress and in_notebook():
        with NotebookBar(kind, pace, training.folder) as cell:
            yield cell.show
    elif progress and can_redraw(sys.stderr):
        from charlstm.cli.views.live import Live

        with Live(kind, pace) as live:
            yield live.show
    else:
        yield lambda event: None


@contextmanager
def _interrupt() -> Iterator[Callable[[], bool]]:
    """A function that returns whether Ctrl-C was pressed in this block; pressed again, it interrupts as before.

    Python gives signals to the main thread only; in another one, or where Ctrl-C is ignored, nothing is caught.
    """
    arrived = threading.Event()
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous in (signal.SIG_IGN, None):
        yield arrived.is_set
        return

    def handle(number: int, frame: FrameType | None) -> Any:
        arrived.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield arrived.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
