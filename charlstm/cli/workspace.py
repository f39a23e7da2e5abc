"""What the options of ``charlstm train`` say about places and settings, each as one value."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.options import DEFAULT_ROOT
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.store import Store


@dataclass(frozen=True)
class Workspace:
    """Where files go and how much is printed.

    Args:
        store: the folder of runs.
        cache: the folder of encoded texts.
        name: the run's name; None derives it from the text.
        force: replace a run of that name.
        quiet: print only errors and how to use the run.
        json_lines: print the events as JSON on stdout instead.
        report: leave a page about the run beside its checkpoint.
    """

    store: Store
    cache: Path
    name: str | None
    force: bool
    quiet: bool
    json_lines: bool
    report: bool

    @classmethod
    def of_options(
        cls,
        root: Path,
        cache: Path,
        name: str | None,
        out: Path | None,
        *,
        force: bool,
        quiet: bool,
        json_lines: bool,
        report: bool,
    ) -> Workspace:
        """Combine the options that say where a run is kept.

        Args:
            root: the folder of runs, unless ``out`` is given.
            cache: the folder of encoded texts.
            name: the run's name.
            out: the run's own folder, instead of ``root`` and ``name``.
            force: replace a run of that name.
            quiet: print only errors and how to use the run.
            json_lines: print the events as JSON on stdout instead.
            report: leave a page about the run beside its checkpoint.

        Returns:
            Where the run is kept, and how it reports.

        Raises:
            UsageError: ``name`` and ``out`` are both given.
        """
        from charlstm.checkpoint.store import Store

        if out is not None:
            if name is not None:
                raise UsageError("--name and --out both say where the run is kept", hint="Give one of them.")
            root, name = out.absolute().parent, out.name
        return cls(Store(root), cache, name, force, quiet, json_lines, report)


@dataclass(frozen=True)
class RunOptions:
    """Where a new run gets its settings and weights.

    Args:
        flags: settings given as options, by section; they override the file's.
        preset: the name of a preset; the file overrides it.
        config: a TOML file of settings.
        init_from: a reference to the model whose weights are the start.
    """

    flags: dict[str, dict[str, Any]]
    preset: str | None
    config: Path | None
    init_from: str | None

    def layers(self) -> list[dict[str, dict[str, Any]]]:
        """Return the settings that were given, each layer overriding the ones before it."""
        from charlstm.settings_file import read_settings
        from charlstm.training.plan import presets

        of_file = read_settings(self.config) if self.config else {}
        return [presets.preset(self.preset) if self.preset else {}, of_file, self.flags]


def reference_to(folder: Path) -> str:
    """Return what to type to name a run: its name if it is in the default folder of runs, otherwise its path."""
    in_default_root = folder.parent.resolve() == DEFAULT_ROOT.resolve()
    return shlex.quote(folder.name if in_default_root else str(folder))
