"""Training as an iterator of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from charlstm.api.arguments import require_place, require_text
from charlstm.api.settings import Settings, with_settings
from charlstm.checkpoint.names import NOTHING
from charlstm.checkpoint.store import ROOT, Store
from charlstm.config import SECTIONS, section_of
from charlstm.durations import seconds
from charlstm.errors import CharlstmError, UsageError
from charlstm.events import Event
from charlstm.paths import cache_folder
from charlstm.schemas import require_flag

if TYPE_CHECKING:
    from charlstm.training.loop import Training

DURATIONS = ("max_time", "save_every")
"""The settings that are seconds, or a text such as ``"5m"``."""


@with_settings
def train(
    *sources: str | Path,
    name: str | None = None,
    root: str | Path = ROOT,
    cache: str | Path | None = None,
    force: bool = False,
    init_from: str | Path | None = None,
    **settings: Unpack[Settings],
) -> Iterator[Event]:
    """Train a network on a text; every setting that is not given is chosen automatically.

    The text is read and the settings are checked at the call; training advances with the iterator. To end it early,
    stop iterating: what was saved last can be loaded.

    Args:
        sources: files, folders, globs or names of corpora; none is the bundled corpus.
        name: the run's name; None is the corpus and a number.
        root: the folder of runs.
        cache: where encoded texts are kept; None is this system's cache folder.
        force: replace a run of that name.
        init_from: the run whose weights this one begins with: a name, a folder or a file; ``"none"`` for random ones.
            None is the starter for a short text in a language it knows, if no shape is asked for.
        settings: those of `charlstm.Settings`, as ``hidden_size=256, max_time="5m"``.

    Returns:
        An iterator of events, `Started` first and `Stopped` last. The run's files are in ``root/name``.

    Raises:
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    return new_run(sources, settings, name=name, root=root, cache=cache, force=force, init_from=init_from).events()


@dataclass(frozen=True)
class NewRun:
    """A run that has a folder, and has not begun."""

    training: Training
    store: Store

    def events(self, stop: Callable[[], bool] = lambda: False) -> Generator[Event, None, None]:
        """Train under the run's lock, to the end of the budget.

        Args:
            stop: called after every step; once it returns True, everything is saved and training ends.
        """
        try:
            with self.store.lock(self.training.folder):
                yield from self.training.events(stop)
        except CharlstmError:
            self.store.remove_if_unsaved(self.training.folder)
            raise


def new_run(
    sources: tuple[str | Path, ...],
    settings: Mapping[str, Any],
    *,
    name: str | None,
    root: str | Path,
    cache: str | Path | None,
    force: bool,
    init_from: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NewRun:
    """Read the text, complete the settings, create the run's folder.

    Args:
        sources: as in `train`, as all that follow.
        settings: see there.
        name: see there.
        root: see there.
        cache: see there.
        force: see there.
        init_from: see there.
        progress: called while the text is encoded, with bytes done and bytes in all.

    Returns:
        The run and its training, before its first step.

    Raises:
        CharlstmError: the text, a setting or the machine does not allow it.
    """
    _check_arguments(sources, name, force, root=root, cache=cache, init_from=init_from)
    begun, given = time.monotonic(), _by_section(settings)
    given["data"]["sources"] = tuple(map(str, sources)) or ("english",)
    store = Store(root)
    if name is not None and not force:
        store.check_free(name)  # now, and not after a gigabyte has been encoded
    from charlstm.checkpoint.format import read_model
    from charlstm.checkpoint.references import find_model, read_starter
    from charlstm.filling.preview import write_preview
    from charlstm.training import prepare
    from charlstm.training.beginning import Session

    init = None if init_from in (None, NOTHING) else read_model(find_model(store, str(init_from)))
    prepared = prepare.prepare(
        given,
        cache_folder() if cache is None else Path(cache),
        init=init,
        starter=read_starter if init_from is None else lambda: None,
        progress=progress,
    )
    folder = store.create(name, prepared.encoded.name, force)
    try:
        session = Session(write_preview=write_preview, begun=begun)
        return NewRun(prepare.begin(prepared, folder, session=session), store)
    except CharlstmError:
        store.remove_if_unsaved(folder)
        raise


def _check_arguments(
    sources: tuple[str | Path, ...], name: str | None, force: bool, **places: str | Path | None
) -> None:
    for source in sources:
        require_place("sources", source)
    for argument, place in places.items():
        if place is not None or argument == "root":
            require_place(argument, place)
    if name is not None:
        require_text("name", name)
    require_flag("force", force)


def _by_section(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in settings.items():
        section = section_of(name)
        if section is not None and value is not None:
            given[section][name] = _seconds(name, value) if name in DURATIONS else value
    return given


def _seconds(name: str, value: Any) -> Any:
    try:
        return seconds(value) if isinstance(value, str) else value
    except UsageError as fault:
        raise UsageError(fault.what, where=name, hint=fault.hint) from None
