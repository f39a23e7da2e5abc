"""``charlstm train``: from a text to a network that writes like it."""

from __future__ import annotations

import contextlib
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli import options
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.render import say
from charlstm.errors import CharlstmError, DivergedError, StorageError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.cli.signals import StopRequest
    from charlstm.runs import Prepared
    from charlstm.training import Training

EPILOG = """Examples:

\b
  charlstm train                               the bundled corpus, five minutes
  charlstm train my.txt --max-time 5m          one file
  charlstm train books/ 'notes/*.md' -n mix    folders and globs, joined in this order
  cat log | charlstm train - --tokenizer byte  anything at all, from a pipe
  charlstm train my.txt --dry-run              only show what would be done
  charlstm train --resume my-1                 go on exactly where it stopped
  charlstm train new.txt --init-from my-1      fine-tune
"""

# What `charlstm train --help` lists together, the things a newcomer wants first.
_goal = partial(typer.Option, rich_help_panel="What to train, and for how long")
_show = partial(typer.Option, rich_help_panel="What you see and keep on the way")
_text = partial(typer.Option, rich_help_panel="How the text is read")
_net = partial(typer.Option, rich_help_panel="The network")
_cut = partial(typer.Option, rich_help_panel="How the text is cut for learning")
_learn = partial(typer.Option, rich_help_panel="How it learns (for those who know)")
_machine = partial(typer.Option, rich_help_panel=options.PLACES)

Text = str | None
Whole = int | None
Real = float | None


def train(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Files, folders, globs, '-', or names: english, tinyshakespeare, python:docs, … [default: english]",
            show_default=False,
        ),
    ] = None,
    max_time: Annotated[
        Text, _goal("--max-time", metavar="TIME", help="How long: 90s, 5m, 1h30m. [default: 5m]")
    ] = None,
    max_steps: Annotated[
        Whole, _goal("--max-steps", help="How long, in steps: one learns from a batch of text.")
    ] = None,
    epochs: Annotated[Real, _goal("--epochs", help="How long, in passes over the whole text.")] = None,
    dry_run: Annotated[bool, _goal("--dry-run", help="Show every setting, why, and the cost; train nothing.")] = False,
    resume: Annotated[
        Text, _goal("--resume", metavar="RUN", help="Go on with a run, exactly where it stopped.")
    ] = None,
    init_from: Annotated[
        Text, _goal("--init-from", metavar="RUN", help="A new run that begins with what another has learnt.")
    ] = None,
    name: Annotated[
        Text, _goal("--name", "-n", metavar="NAME", help="Its name. [default: the text's and a number]")
    ] = None,
    out: Annotated[Path | None, _goal("--out", metavar="FOLDER", help="Keep the run in this folder.")] = None,
    force: Annotated[bool, _goal("--force", help="Replace a run of that name.")] = False,
    preset: Annotated[
        Text, _goal("--preset", metavar="NAME", help="Fixed settings: tiny, small, medium, large, starter, char-rnn.")
    ] = None,
    config: Annotated[Path | None, _goal("--config", metavar="FILE", help="Settings from a TOML file.")] = None,
    quiet: Annotated[bool, _show("--quiet", "-q", help="Only say where the checkpoint is.")] = False,
    json_lines: Annotated[bool, _show("--json", help="For a program: one event a line of JSON, on stdout.")] = False,
    preview: Annotated[Whole, _show("--preview", help="Characters it writes as a proof now and then; 0: none.")] = None,
    eval_every: Annotated[Whole, _show("--eval-every", help="Steps between tests on text it does not learn.")] = None,
    patience: Annotated[Whole, _show("--patience", help="Stop after so many tests without progress; 0: never.")] = None,
    save_every: Annotated[Text, _show("--save-every", metavar="TIME", help="Time between saves for --resume.")] = None,
    tokenizer: Annotated[
        Text,
        _text(
            "--tokenizer",
            metavar="KIND",
            help="It reads char (letters), byte (any file), unigram or bpe (parts of words).",
        ),
    ] = None,
    vocab_size: Annotated[Whole, _text("--vocab-size", help="How many parts of words unigram or bpe know.")] = None,
    min_count: Annotated[Whole, _text("--min-count", help="Characters rarer than this count as one, unknown.")] = None,
    encoding: Annotated[Text, _text("--encoding", metavar="NAME", help="If it is not UTF-8: cp1252, utf-16, …")] = None,
    newlines: Annotated[
        Text, _text("--newlines", metavar="RULE", help="normalise (\\r\\n becomes \\n) or keep.")
    ] = None,
    val_fraction: Annotated[Real, _text("--val-fraction", help="The last part kept for tests: 0.1 is a tenth.")] = None,
    hidden_size: Annotated[
        Whole, _net("--hidden-size", help="Memory of a layer: more learns more, but slower.")
    ] = None,
    num_layers: Annotated[Whole, _net("--num-layers", help="LSTM layers, one above the other.")] = None,
    embedding_size: Annotated[Whole, _net("--embedding-size", help="Numbers that stand for each character.")] = None,
    skip: Annotated[
        bool | None, _net("--skip/--no-skip", help="Every layer sees the text, and the output sees every layer.")
    ] = None,
    dropout: Annotated[
        Real, _net("--dropout", help="Share of memory hidden at random: against learning by heart.")
    ] = None,
    weight_drop: Annotated[Real, _net("--weight-drop", help="The same for the links from step to step.")] = None,
    batch_size: Annotated[Whole, _cut("--batch-size", help="Pieces of text a step learns from at once.")] = None,
    seq_len: Annotated[Whole, _cut("--seq-len", help="Characters a piece is long: how far back it learns.")] = None,
    windows: Annotated[
        Text, _cut("--windows", metavar="ORDER", help="stateful: pieces follow one another; shuffled: any order.")
    ] = None,
    streams: Annotated[Whole, _cut("--streams", help="Places in the text that are read in turn.")] = None,
    state_reset: Annotated[Real, _cut("--state-reset", help="How often it forgets what stood before a piece.")] = None,
    lr: Annotated[Real, _learn("--lr", help="Learning rate at its highest: too high and it diverges.")] = None,
    warmup: Annotated[Real, _learn("--warmup", help="Share of the time in which that rate is reached.")] = None,
    grad_clip: Annotated[Real, _learn("--grad-clip", help="The longest step in any direction (gradient norm).")] = None,
    weight_decay: Annotated[Real, _learn("--weight-decay", help="How hard weights are pulled to 0 (AdamW).")] = None,
    beta2: Annotated[Real, _learn("--beta2", help="How long past gradients are remembered (AdamW).")] = None,
    average: Annotated[Real, _learn("--average", help="How slowly the mean of the weights moves; 0: no mean.")] = None,
    seed: Annotated[Whole, _machine("--seed", help="The same seed and settings train the same network.")] = None,
    device: Annotated[Text, _machine("--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps.")] = None,
    precision: Annotated[Text, _machine("--precision", metavar="KIND", help="fp32, bf16 or fp16.")] = None,
    threads: Annotated[Whole, _machine("--threads", help="CPU threads.")] = None,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
    rnn_size: options.hidden(Whole, "--rnn-size") = None,  # type: ignore[valid-type]
    seq_length: options.hidden(Whole, "--seq-length", "--bptt") = None,  # type: ignore[valid-type]
    learning_rate: options.hidden(Real, "--learning-rate") = None,  # type: ignore[valid-type]
) -> None:
    """Train a network on a text; it writes like it afterwards.

    A text and a time are enough: all other settings choose themselves from them and from this machine (--dry-run
    tells why). Each can be set; --preset, --config and options override each other in this order. Ctrl-C saves and
    stops.
    """
    given = {
        "model": {
            "hidden_size": _first(hidden_size, rnn_size),
            "num_layers": num_layers,
            "embedding_size": embedding_size,
            "skip": skip,
            "dropout": dropout,
            "weight_drop": weight_drop,
        },
        "data": {
            "sources": tuple(sources) if sources else None,
            "encoding": encoding,
            "newlines": newlines,
            "tokenizer": tokenizer,
            "vocab_size": vocab_size,
            "min_count": min_count,
            "val_fraction": val_fraction,
            "windows": windows,
            "batch_size": batch_size,
            "seq_len": _first(seq_len, seq_length),
            "streams": streams,
            "state_reset": state_reset,
        },
        "train": {
            "max_time": None if max_time is None else options.seconds(max_time),
            "max_steps": max_steps,
            "epochs": epochs,
            "lr": _first(lr, learning_rate),
            "warmup": warmup,
            "grad_clip": grad_clip,
            "weight_decay": weight_decay,
            "beta2": beta2,
            "average": average,
            "eval_every": eval_every,
            "patience": patience,
            "save_every": None if save_every is None else options.seconds(save_every),
            "preview": preview,
            "seed": seed,
            "device": device,
            "precision": precision,
            "threads": threads,
        },
    }
    flags = {section: {k: v for k, v in values.items() if v is not None} for section, values in given.items()}
    place = _Place(root, options.cache_or_default(cache), name, out, force, quiet, json_lines)
    if resume is not None:
        _resume(place, resume, flags, dry_run or preset or config or init_from or name or out)
    else:
        _begin(place, flags, preset, config, init_from, dry_run)


def _first(*given: Any) -> Any:
    """The first value that was given; options have old names too."""
    return next((value for value in given if value is not None), None)


class _Place:
    """Where files go and how much is said."""

    def __init__(
        self, root: Path, cache: Path, name: str | None, out: Path | None, force: bool, quiet: bool, json_lines: bool
    ) -> None:
        from charlstm.checkpoint.store import Store

        if out is not None:
            if name is not None:
                raise UsageError("--name and --out both say where the run is kept", hint="Give one of them.")
            root, name = out.absolute().parent, out.name
        self.store = Store(root)
        self.cache, self.name, self.force, self.quiet, self.json_lines = cache, name, force, quiet, json_lines


def _begin(
    place: _Place,
    flags: dict[str, dict[str, Any]],
    preset: str | None,
    config: Path | None,
    init_from: str | None,
    dry_run: bool,
) -> None:
    from charlstm.cli import plan as plan_view
    from charlstm.config import read_settings
    from charlstm.settings import presets

    layers = [presets.preset(preset) if preset else {}, read_settings(config) if config else {}, flags]
    init = _checkpoint(place, init_from) if init_from else None
    if place.name is not None and not dry_run and not place.force:
        place.store.check_free(place.name)  # now, and not after a gigabyte has been encoded
    prepared = _prepare(place, layers, init)
    if dry_run:
        plan_view.explain(prepared, place.store.root / (place.name or f"{prepared.encoded.name}-N"))
        return
    from charlstm import runs
    from charlstm.cli.signals import StopRequest

    # From here on Ctrl-C is a request: there is a folder now, and what it holds must be able to go on.
    with StopRequest() as request:
        folder = place.store.create(place.name, prepared.encoded.name, place.force)
        try:
            with place.store.lock(folder):
                training = runs.begin(prepared, folder, {"command": _command()})
                if not place.quiet and not place.json_lines:
                    plan_view.announce(prepared, folder)
                _run(place, training, request)
        except CharlstmError:
            _leave_nothing_useless(place, folder)
            raise


def _prepare(place: _Place, layers: list[dict[str, dict[str, Any]]], init: Checkpoint | None) -> Prepared:
    from charlstm.cli.progress import bytes_bar
    from charlstm.cli.signals import load_torch

    load_torch()
    from charlstm import runs

    given = runs.merge(*layers)

    def probe() -> Any:
        from charlstm.settings.probe import probe as measure

        return measure(given["train"].get("device"), given["train"].get("precision"))

    with bytes_bar("encoding", quiet=place.quiet or place.json_lines) as progress:
        return runs.prepare(given, probe, place.cache, stdin=sys.stdin.buffer, init=init, progress=progress)


def _resume(place: _Place, reference: str, flags: dict[str, dict[str, Any]], clash: object) -> None:
    train = flags["train"]
    budget: dict[str, Any] = {k: train.pop(k) for k in ("max_time", "max_steps", "epochs") if k in train}
    fixed = [name for values in flags.values() for name in values]
    if clash or fixed:
        what = f"--{fixed[0].replace('_', '-')}" if fixed else "that option"
        if "sources" in fixed:
            what = "the text"
        raise UsageError(
            f"{what} cannot be changed in a run that goes on",
            hint="Only --max-time, --max-steps and --epochs can; or start another run with --init-from.",
        )
    from charlstm.cli.signals import StopRequest, load_torch

    folder = place.store.resumable(reference)
    load_torch()
    from charlstm import runs

    with StopRequest() as request, place.store.lock(folder):
        _run(place, runs.resume(folder, place.cache, budget, stdin=sys.stdin.buffer), request)


def _checkpoint(place: _Place, reference: str) -> Checkpoint:
    from charlstm.checkpoint import format as checkpoint_format

    path = place.store.find(reference)
    checkpoint = checkpoint_format.read(path, kind="model")
    checkpoint_format.check_model(checkpoint, path)
    return checkpoint


def _leave_nothing_useless(place: _Place, folder: Path) -> None:
    """Remove the folder of a run that failed before it saved anything, so that the same command can be typed again."""
    if not any((folder / name).exists() for name in ("model.safetensors", "resume.safetensors")):
        with contextlib.suppress(CharlstmError):
            place.store.remove(folder.name)


def _run(place: _Place, training: Training, request: StopRequest) -> None:
    """Let it train, show what happens, and leave with the right exit code."""
    from charlstm.cli.progress import view
    from charlstm.events import Stopped

    name = _reference(training.folder)
    stopped: Stopped | None = None
    try:
        with view(training, quiet=place.quiet, json_lines=place.json_lines) as show:
            for event in training.events(request):
                show(event)
                if isinstance(event, Stopped):
                    stopped = event
    except StorageError as fault:
        if (training.folder / "resume.safetensors").exists():
            fault.hint = f"Once that is mended, go on with: charlstm train --resume {name}"
        raise
    assert stopped is not None
    if stopped.reason == "diverged":
        raise DivergedError(stopped.message, hint="Start again with a lower --lr or a lower --grad-clip.")
    if stopped.reason == "interrupted":
        say(f"saved. Go on with: charlstm train --resume {name}")
        raise typer.Exit(request.exit_code)
    if not place.json_lines:
        say(f"done: {training.folder}. Write with: charlstm sample {name}")


def _reference(folder: Path) -> str:
    """What to type to name this run again."""
    usual = folder.parent.resolve() == DEFAULT_ROOT.resolve()
    return shlex.quote(folder.name if usual else str(folder))


def _command() -> str:
    return shlex.join(["charlstm", *sys.argv[1:]])
