"""``charlstm corpora``: list, show, fetch, measure and check texts; empty the cache of encoded texts."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import BadBytes, Cache, Encoding, cache_or_default, seconds
from charlstm.cli.views.terminal import duration, is_terminal, say, size, stdout_console, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from charlstm.corpora.cache_cleanup import CachedFile
    from charlstm.corpora.catalogue import Collection, Entry
    from charlstm.corpora.decode import Decoding
    from charlstm.corpora.read import Corpus

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=LINES["corpora"],
)

_FIRST_LINES = 8

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name that `charlstm corpora list` shows.")]
Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE", help="Files, folders, globs, names, or '-' for standard input.")
]
Newlines = Annotated[
    Literal["normalise", "keep"], typer.Option(help="Turn CR LF and CR into LF, or keep them as they are.")
]


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm corpora {line}" for line in lines)


@app.command("list", epilog=_examples("list", "list --json"))
def list_corpora(cache: Cache = None, as_json: Json = False) -> None:
    """List the corpora that have names. Each can be trained on by its name."""
    from charlstm.corpora.describe import named_corpora

    folder = cache_or_default(cache)
    corpora = named_corpora(folder)
    if as_json:
        _print_json([asdict(corpus) for corpus in corpora])
        return
    from charlstm.cli.views.corpora import draw_list

    draw_list(stdout_console(), corpora, folder)


@app.command(epilog=_examples("show english", "show tinyshakespeare", "show synthetic:dyck,depth=3 --json"))
def show(name: Name, cache: Cache = None, as_json: Json = False) -> None:
    """Show what a corpus is. Licence, address, size, hash and first lines."""
    from charlstm.corpora.describe import describe, digest, first_lines

    corpus = describe(name, cache_or_default(cache))
    values = {**asdict(corpus), "sha256": digest(corpus), "first_lines": first_lines(name, corpus, _FIRST_LINES)}
    if as_json:
        _print_json(values)
        return
    from charlstm.cli.views.corpora import draw_show

    draw_show(stdout_console(), values)


@app.command(
    epilog=_examples(
        "fetch tinyshakespeare",
        "fetch classics",
        "fetch 'classics/Jane Austen'",
        "fetch tinyshakespeare --from ~/Downloads/input.txt",
    )
)
def fetch(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="PATH", help="Copy this file, or for a collection this folder, and do not download."
        ),
    ] = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Fetch a corpus of the catalogue. Size and hash are checked, wherever it came from.

    Of a collection (classics) only the texts that are not there yet are fetched: after an interruption the same command
    goes on. A part of it has a name too: 'classics/Jane Austen'.
    """
    from charlstm.corpora.catalogue import find, is_intact, place

    folder = cache_or_default(cache)
    entry = find(name)
    needed = source is not None or not is_intact(entry, folder)
    if needed:
        _fetch(entry, folder, source)
    path = place(entry, folder)
    if as_json:
        _print_json({"name": name, "path": str(path), "bytes": entry.text_size, "fetched": needed})
    else:
        say(f"{'fetched' if needed else 'already there'}: {path} ({size(entry.text_size)})")
        say(f"train on it: charlstm train {shlex.quote(name)}")


@app.command(epilog=_examples("stats english", "stats my.txt notes/ --json", "stats - --encoding cp1252 < old.txt"))
def stats(
    sources: Sources,
    encoding: Encoding = None,
    bad_bytes: BadBytes = "error",
    newlines: Newlines = "normalise",
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Measure a text. Sizes, alphabet, newlines, hash, and how well it compresses."""
    from charlstm.cli.views.corpora import draw_stats
    from charlstm.corpora.decode import Decoding
    from charlstm.corpora.stats import stats as measure

    corpus = _open(sources, Decoding(encoding, newlines, bad_bytes), cache)
    _show(measure(corpus), corpus, draw_stats, as_json)


@app.command(epilog=_examples("check my.txt", "check 'letters/*.txt' --val-fraction 0.05", "check english --json"))
def check(
    sources: Sources,
    val_fraction: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="The share at the end kept for validation.")
    ] = 0.1,
    encoding: Encoding = None,
    bad_bytes: BadBytes = "error",
    newlines: Newlines = "normalise",
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Look for problems in a text. Odd characters, repeated passages, leakage into validation, and too little text."""
    from charlstm.cli.views.corpora import draw_check
    from charlstm.corpora.check import check as find_problems
    from charlstm.corpora.decode import Decoding

    corpus = _open(sources, Decoding(encoding, newlines, bad_bytes), cache)
    _show(find_problems(corpus, val_fraction), corpus, draw_check, as_json)


@app.command(epilog=_examples("clean", "clean --unused 7d --yes", "clean --dry-run --json"))
def clean(
    unused: Annotated[
        str | None, typer.Option("--unused", metavar="TIME", help="Only files unused for this long: 12h, 7d.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Empty the cache of encoded texts. Fetched corpora stay, and resumed runs encode their text again.

    Only a run trained on standard input (-) then needs its text once more. Only files that charlstm wrote are removed.
    What was not used for 30 days is removed without this command when another text is encoded.
    """
    from charlstm.corpora.cache_cleanup import cached_files, remove
    from charlstm.errors import UsageError

    folder = cache_or_default(cache)
    if folder.exists() and not folder.is_dir():
        raise UsageError("not a folder", where=folder, hint="Name the cache folder: --cache FOLDER.")
    files = cached_files(folder, 0.0 if unused is None else seconds(unused))
    if not dry_run and not _agreed(files, folder, yes):
        say("nothing removed")
        return
    removed = files if dry_run else list(remove(files))
    if as_json:
        _print_json([{"path": str(file.path), "bytes": file.size, "used": file.used} for file in removed])
    else:
        for file in removed:
            idle = duration(max(0.0, time.time() - file.used))
            name = visible(f"{file.path.parent.name}/{file.path.name[:12]}…")
            print(f"{name}  {size(file.size)}, unused for {idle}")
    total = f"{_total(removed)} from {visible(str(folder))}"
    say(f"would remove {total}" if dry_run else f"removed {total}")
    if len(removed) < len(files):
        say(f"{len(files) - len(removed)} more could not be removed: in use, or another user's")


def _agreed(files: Sequence[CachedFile], folder: Path, yes: bool) -> bool:
    """Whether to remove files: asked on a terminal only, since nothing is lost that cannot be made again."""
    if yes or not files or not is_terminal(sys.stdin):
        return True
    return typer.confirm(f"Remove {_total(files)} from the cache in {visible(str(folder))}?", err=True)


def _total(files: Sequence[CachedFile]) -> str:
    return f"{len(files)} file{'s' * (len(files) != 1)} ({size(sum(file.size for file in files))})"


def _show(result: Any, corpus: Corpus, draw: Any, as_json: bool) -> None:
    """Print a result about a corpus, drawn or as JSON."""
    from charlstm.corpora.reading_notes import reading_notes

    for note in reading_notes(corpus):
        say(note)
    if as_json:
        _print_json({**asdict(result), "skipped": corpus.skipped})
    else:
        draw(stdout_console(), result)


def _open(sources: list[str], decoding: Decoding, cache: Path | None) -> Corpus:
    from charlstm.corpora.sources import STDIN, open_sources

    if STDIN in sources and is_terminal(sys.stdin):
        say("reading from the terminal; end with Ctrl-D")
    return open_sources(sources, decoding=decoding, stdin=sys.stdin.buffer, cache=cache_or_default(cache))


def _fetch(entry: Entry | Collection, cache: Path, source: Path | None) -> None:
    from tqdm import tqdm

    from charlstm.corpora.fetch import fetch as fetch_entry
    from charlstm.errors import NotFoundError

    with tqdm(
        total=entry.size, desc=entry.name, unit="B", unit_scale=True, leave=False, file=sys.stderr,
        disable=not is_terminal(sys.stderr), dynamic_ncols=True,
    ) as bar:  # fmt: skip

        def advance(received: int) -> None:
            bar.update(received - bar.n)

        try:
            fetch_entry(entry, cache, source=source, progress=advance)
        except NotFoundError as fault:
            if source is None:
                name, place = shlex.quote(entry.name), "FILE" if entry.entries == (entry,) else "FOLDER"
                fault.hint = f"If you have it already: charlstm corpora fetch {name} --from {place}"
            raise


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
