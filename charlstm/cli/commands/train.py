"""``charlstm train``: from a text to a network that writes like it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from charlstm.checkpoint.names import AUTO
from charlstm.cli import launch, options, run_training
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.workspace import RunOptions, Workspace
from charlstm.errors import UsageError

EPILOG = """Examples:

\b
  charlstm train                               the bundled corpus, five minutes
  charlstm train my.txt --max-time 5m          one file
  charlstm train books/ 'notes/*.md' -n mix    folders and globs, joined in this order
  cat log | charlstm train - --tokenizer byte  anything at all, from a pipe
  charlstm train my.txt --dry-run              only show what would be done
  charlstm train --resume my-1                 go on exactly where it stopped
  charlstm train new.txt --init-from my-1      fine-tune
  charlstm train my.txt --nproc 4              four processes, each with a GPU
  charlstm train my.txt -n a --resume auto     begin a, or go on with it
"""

app = options.one_command()

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


@app.command(cls=options.Sections, epilog=EPILOG)
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
        Text,
        _goal(
            "--resume",
            metavar="RUN",
            help="Go on with a run, exactly where it stopped; auto: with the one of --name or --out, or begin it.",
        ),
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
    num_layers: Annotated[Whole, _net("--num-layers", help="Layers, one above the other.")] = None,
    ensemble: Annotated[
        Whole, _net("--ensemble", metavar="N", help="Networks side by side, whose answers are averaged.")
    ] = None,
    cell: Annotated[
        Text, _net("--cell", metavar="KIND", help="lstm, gru, peephole (an LSTM that sees its memory) or rnn.")
    ] = None,
    attention: Annotated[
        bool, _net("--attention", help="It looks back on what it remembered of the last 256 characters.")
    ] = False,
    attention_window: Annotated[Whole, _net("--attention-window", help="How far that look goes; 0: none.")] = None,
    bidirectional: Annotated[
        bool | None, _net("--bidirectional", help="It reads both ways: for charlstm fill; it cannot write on.")
    ] = None,
    embedding_size: Annotated[Whole, _net("--embedding-size", help="Numbers that stand for each character.")] = None,
    ngram_order: Annotated[
        Whole, _net("--ngram-order", help="Characters of the longest run that is looked up in a table; 0: no table.")
    ] = None,
    ngram_rows: Annotated[Whole, _net("--ngram-rows", help="Rows of that table: more tell more runs apart.")] = None,
    recall: Annotated[
        Text,
        _net("--recall", metavar="LIST", help="3,6: it recalls what last followed the same 3, the same 6; 0: off."),
    ] = None,
    recall_rows: Annotated[Whole, _net("--recall-rows", help="About how many characters back that reaches.")] = None,
    skip: Annotated[
        bool | None, _net("--skip/--no-skip", help="Every layer sees the text, and the output sees every layer.")
    ] = None,
    dropout: Annotated[
        Real, _net("--dropout", help="Share of memory hidden at random: against learning by heart.")
    ] = None,
    weight_drop: Annotated[Real, _net("--weight-drop", help="The same for the links from step to step.")] = None,
    ngram_dropout: Annotated[Real, _net("--ngram-dropout", help="Share of runs of characters not looked up.")] = None,
    batch_size: Annotated[Whole, _cut("--batch-size", help="Pieces of text a step learns from at once.")] = None,
    seq_len: Annotated[Whole, _cut("--seq-len", help="Characters a piece is long: how far back it learns.")] = None,
    windows: Annotated[
        Text, _cut("--windows", metavar="ORDER", help="stateful: pieces follow one another; shuffled: any order.")
    ] = None,
    streams: Annotated[Whole, _cut("--streams", help="Places in the text that are read in turn.")] = None,
    state_reset: Annotated[Real, _cut("--state-reset", help="How often it forgets what stood before a piece.")] = None,
    optimizer: Annotated[Text, _learn("--optimizer", metavar="KIND", help="soap or adamw.")] = None,
    lr: Annotated[Real, _learn("--lr", help="Learning rate at its highest: too high and it diverges.")] = None,
    warmup: Annotated[Real, _learn("--warmup", help="Share of the time in which that rate is reached.")] = None,
    grad_clip: Annotated[Real, _learn("--grad-clip", help="The longest step in any direction (gradient norm).")] = None,
    weight_decay: Annotated[Real, _learn("--weight-decay", help="How hard weights are pulled to 0.")] = None,
    ngram_decay: Annotated[Real, _learn("--ngram-decay", help="How hard rows of the table are pulled to 0.")] = None,
    beta2: Annotated[Real, _learn("--beta2", help="How long past gradients are remembered.")] = None,
    average: Annotated[Real, _learn("--average", help="How slowly the mean of the weights moves; 0: no mean.")] = None,
    seed: Annotated[
        Whole, _machine("--seed", help="The same seed trains the same network, if it ends by steps or epochs.")
    ] = None,
    device: Annotated[Text, _machine("--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps.")] = None,
    precision: Annotated[Text, _machine("--precision", metavar="KIND", help="fp32, bf16 or fp16.")] = None,
    threads: Annotated[Whole, _machine("--threads", help="CPU threads.")] = None,
    nproc: Annotated[
        Whole, _machine("--nproc", metavar="N", help="Processes that share each batch, one a GPU; or use torchrun.")
    ] = None,
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
            "ensemble": ensemble,
            "cell": cell,
            "attention_window": _first(attention_window, 256 if attention else None),
            "bidirectional": bidirectional,
            "embedding_size": embedding_size,
            "ngram_order": ngram_order,
            "ngram_buckets": ngram_rows,
            "match_orders": None if recall is None else options.numbers(recall),
            "match_slots": recall_rows,
            "skip_connections": skip,
            "dropout": dropout,
            "weight_drop": weight_drop,
            "ngram_dropout": ngram_dropout,
            "ngram_decay": ngram_decay,
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
            "reset_prob": state_reset,
        },
        "train": {
            "max_time": None if max_time is None else options.seconds(max_time),
            "max_steps": max_steps,
            "epochs": epochs,
            "optimizer": optimizer,
            "lr": _first(lr, learning_rate),
            "warmup": warmup,
            "grad_clip": grad_clip,
            "weight_decay": weight_decay,
            "beta2": beta2,
            "ema_decay": average,
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
    if launch.must_start_processes(nproc) and not dry_run:
        launch.run_processes(nproc or 1)
        return
    workspace = Workspace.of_options(
        root, options.cache_or_default(cache), name, out, force=force, quiet=quiet, json_lines=json_lines
    )
    run_options = RunOptions(flags, preset, config, init_from)
    if resume is not None and resume.startswith("-"):
        hint = "charlstm checkpoints list shows all runs."
        raise UsageError(f"--resume needs a run's name before {resume}", hint=hint)
    if resume == AUTO:
        run_training.resume_or_start(workspace, run_options, dry_run)
    elif resume is not None:
        only_for_new_runs = bool(dry_run or preset or config or init_from or name or out or force)
        run_training.resume(workspace, resume, flags, only_for_new_runs)
    else:
        run_training.start(workspace, run_options, dry_run)


def _first(*given: Any) -> Any:
    """The first value that was given; options have old names too."""
    return next((value for value in given if value is not None), None)
