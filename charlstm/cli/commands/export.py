"""``charlstm export``: a network for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli import options
from charlstm.cli.busy import yield_to_others
from charlstm.cli.interrupts import load_torch
from charlstm.cli.lazy_group import LINES
from charlstm.cli.load_model import fit_prompt, read_model
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root, gathered
from charlstm.cli.reading import given_text, own_text
from charlstm.cli.views.progress import progress_bar
from charlstm.cli.views.terminal import counted, say, size
from charlstm.errors import CharlstmError, TextError, UsageError
from charlstm.files import write_atomically

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=LINES["export"])

_MEASURED = 10_000
"""Characters of the text that weights are compared on."""
_MOST_LOST = 0.01
"""Bits a character that weights of 8 bits may cost in a page."""
_UNITS_TEXT, _UNITS_LEAST = 20_000, 400
"""Characters in which units are looked for, and the fewest tokens in which they can be found."""
_NOTHING = 5e-5
"""Bits a character that four digits do not show."""


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm export {line}" for line in lines)


@dataclass(frozen=True)
class Exported:
    """What is exported, and to where: the options that all kinds of files have."""

    checkpoint: options.Model = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write. [default: the network's name]",
            show_default=False,
            callback=options.expanded,
        ),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False
    text: Annotated[
        Path | None,
        typer.Option(
            "--text", metavar="FILE", help="What a loss is measured on. [default: what it was validated on]",
            show_default=False,
        ),
    ] = None  # fmt: skip
    unknown: options.Unknown = "error"
    root: Root = DEFAULT_ROOT
    cache: Cache = None


@app.command(
    "onnx", epilog=_examples("onnx", "onnx my-1 -o my.onnx", "onnx my-1 --int8", "onnx my-1 --int8 --text other.txt")
)
@gathered
def onnx_command(
    exported: Exported,
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights of 8 bits: a quarter of the size. Their loss is measured.")
    ] = False,
) -> None:
    """Write an ONNX file: the network as a graph of standard operators.

    It reads token ids of any number of texts and steps; the state goes in and comes out by name. The alphabet and all
    settings are in its metadata. The page docs/export.md has an example. Needs onnx and onnxruntime.

    With --int8 an LSTM computes in 8-bit integers, by an operator of ONNX Runtime.
    """
    from charlstm.export.onnx_file import check_packages, onnx_file

    check_packages()
    path, saved = _read(exported.checkpoint, exported.root)
    target = _target(exported, path, ".onnx")
    _check_text(exported, "--int8", measured=int8)
    passage, what = _passage(exported, path, saved) if int8 else ("", "")
    file = onnx_file(saved, is_int8=int8)
    load_torch()
    yield_to_others()
    from charlstm.engine.load import torch_model
    from charlstm.export.loss import bits_per_char
    from charlstm.export.onnx_network import OnnxNetwork, largest_difference

    model = torch_model(saved)
    network = OnnxNetwork(file, model)
    if int8:
        before, after = (bits_per_char(each, saved, passage) for each in (model, network))
        _say_loss("int8", before, after, passage, what)
    else:
        say(f"onnxruntime's logits differ from torch's by {largest_difference(network, model):.1e} at most")
    _write(target, file)


@app.command("html", epilog=_examples(
    "html", "html my-1 -o poet.html", "html my-1 --with starter", "html my-1 --dtype float16", "html my-1 --no-units"
))  # fmt: skip
@gathered
def html_command(
    exported: Exported,
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="MODEL", help="Another network in the same page; may be repeated."),
    ] = None,
    dtype: Annotated[
        Literal["int8", "float16", "float32"], typer.Option(help="Store the weights as this type.")
    ] = "int8",
    units: Annotated[
        bool, typer.Option("--units/--no-units", help="Look for units that follow something, to show and to hold.")
    ] = True,
) -> None:
    """Write a page: the network and all that one can play with it, in one file.

    It opens from a disk in any browser of today, and nothing leaves it: write, see how surprising each character is,
    take other ones, look inside, mix networks, let it learn a text of yours. Where int8 weights cost more than 0.01
    bits a character, the page is refused; float16 costs nothing that can be measured.
    """
    from charlstm.export.html_page import Shared, html_page
    from charlstm.export.numpy_file import stored_as

    found = [_read(each, exported.root) for each in (exported.checkpoint, *(others or ()))]
    target = _target(exported, found[0][0], ".html")
    changed = [stored_as(saved) != dtype and dtype == "int8" for _, saved in found]
    _check_text(exported, "--dtype int8", measured=any(changed) or units)
    shared = []
    for (path, saved), is_changed in zip(found, changed, strict=True):
        name = path.parent.name if path.name == "model.safetensors" else path.stem
        if is_changed:
            _check_int8(exported, path, saved)
        shared.append(Shared(name, saved, _units(exported, path, saved, name) if units else ()))
    _write(target, html_page(shared, dtype), ": open it in a browser")


def _check_int8(exported: Exported, path: Path, saved: Checkpoint) -> None:
    """Measure what weights of 8 bits cost, and refuse them where that is too much."""
    passage, what = _passage(exported, path, saved)
    load_torch()
    yield_to_others()
    from charlstm.checkpoint.format import convert
    from charlstm.engine.load import torch_model
    from charlstm.export.loss import bits_per_char

    before, after = (bits_per_char(torch_model(each), saved, passage) for each in (saved, convert(saved, "int8")))
    _say_loss("int8", before, after, passage, what)
    if after - before > _MOST_LOST:
        raise UsageError(f"int8 costs more than {_MOST_LOST} bits a character", hint="Take --dtype float16.")


def _units(exported: Exported, path: Path, saved: Checkpoint, name: str) -> Sequence[dict[str, Any]]:
    """The units of a network that follow something; none where no text is at hand to find them in."""
    if saved.architecture.bidirectional:
        return ()
    try:
        if exported.text is None:
            text, _ = own_text(saved, path, _UNITS_TEXT, exported.cache, hint="Name one: --text FILE.")
        else:
            text, _ = given_text(None, exported.text, saved, path, _UNITS_TEXT)
    except CharlstmError as fault:
        say(f"{name}: no units are looked for, as {fault.what}")
        return ()
    tokenizer = saved.load_tokenizer()
    ids = tokenizer.encode(fit_prompt(tokenizer, text[:_UNITS_TEXT], exported.unknown, what="text"))
    if len(ids) < _UNITS_LEAST:
        say(f"{name}: no units are looked for, as the text has only {counted(len(ids), 'token')}")
        return ()
    say(f"{name}: looking for units that follow something; --no-units leaves that out")
    load_torch()
    yield_to_others()
    from charlstm.engine.load import torch_model
    from charlstm.inspect.named_units import named_units
    from charlstm.inspect.subject import Subject

    with progress_bar("comparing", "steps") as progress:
        return named_units(Subject(name, torch_model(saved), tokenizer, ids), progress)


@app.command("numpy", epilog=_examples(
    "numpy", "numpy my-1 -o poet.py", "numpy my-1 -o poet.py --dtype int8", "numpy my-1 --weights beside"
))  # fmt: skip
@gathered
def numpy_command(
    exported: Exported,
    dtype: Annotated[
        Literal["float32", "float16", "int8"] | None,
        typer.Option(help="Store the weights as this type. [default: as they are]", show_default=False),
    ] = None,
    weights: Annotated[
        Literal["inside", "beside"] | None,
        typer.Option(
            help="In the program, or in a file of their own. [default: inside up to 16 MB]", show_default=False
        ),
    ] = None,
) -> None:
    """Write a program of NumPy: one readable file.

    It needs NumPy and Python 3.10 or newer. It has what this network needs and no more: its cell, its side inputs, its
    sampling, its weights. With the same seed it writes the same text as `charlstm sample`, on a command line of its own
    or imported; a network that reads both sides fills blanks. Where --dtype changes the weights, their loss is
    measured.
    """
    from charlstm.export.numpy_file import check_name, numpy_program, stored_as

    path, saved = _read(exported.checkpoint, exported.root)
    target = _target(exported, path, ".py")
    check_name(target.stem)
    dtype = dtype or stored_as(saved)
    changed = dtype not in ("float32", stored_as(saved))
    _check_text(exported, "--dtype", measured=changed)
    passage, what = _passage(exported, path, saved) if changed else ("", "")
    program = numpy_program(saved, target.stem, dtype=dtype, beside=None if weights is None else weights == "beside")
    archive = target.with_suffix(".npz")
    if program.beside is not None:
        _check_archive(archive, target, force=exported.force)
    if changed:
        load_torch()
        yield_to_others()
        from charlstm.checkpoint.format import convert
        from charlstm.engine.load import torch_model
        from charlstm.export.loss import bits_per_char

        before, after = (bits_per_char(torch_model(each), saved, passage) for each in (saved, convert(saved, dtype)))
        _say_loss(dtype, before, after, passage, what)
    if program.beside is not None:
        _write(archive, program.beside)  # first: a program without its weights is no use
    _write(target, program.source.encode())


def _read(reference: str | None, root: Path) -> tuple[Path, Checkpoint]:
    """Read a network, which works."""
    from charlstm.export.check import check_works

    path, saved = read_model(reference, root)
    check_works(saved)
    return path, saved


def _target(exported: Exported, path: Path, suffix: str) -> Path:
    """The file to write, which can be written."""
    from charlstm.export.target import check_target

    target = exported.output
    if target is None:
        name = path.parent.name if path.name == "model.safetensors" else path.stem
        target = Path(f"{name.replace('-', '_') if suffix == '.py' else name}{suffix}")  # a module that can be imported
    check_target(target, force=exported.force)
    return target


def _check_archive(archive: Path, target: Path, *, force: bool) -> None:
    """Check that the weights beside a program can be written."""
    from charlstm.export.target import check_target

    if archive == target:
        raise UsageError("the program and its weights need files of their own", where=target, hint="End it with .py.")
    check_target(archive, force=force)


def _check_text(exported: Exported, option: str, *, measured: bool) -> None:
    if exported.text is not None and not measured:
        raise UsageError(
            "--text is what a loss is measured on, and there is none", hint=f"Leave it out, or add {option}."
        )


def _passage(exported: Exported, path: Path, saved: Checkpoint) -> tuple[str, str]:
    """The text that a loss is measured on, and what it is called."""
    if exported.text is None:
        text, what = own_text(saved, path, _MEASURED, exported.cache, hint="Name one: --text FILE.")
    else:
        text, what = given_text(None, exported.text, saved, path, _MEASURED)
    text = fit_prompt(saved.load_tokenizer(), text[:_MEASURED], exported.unknown, what="text")
    if not text:
        raise TextError("no character of it is known to the network", where=what)
    return text, what


def _say_loss(dtype: str, before: float, after: float, passage: str, what: str) -> None:
    """How much worse a network is with other weights."""
    cost = f"costs {after - before:.4f} bits a character" if after - before > _NOTHING else "costs nothing"
    say(f"{dtype} {cost}: {after:.4f} instead of {before:.4f}, on {counted(len(passage), 'character')} of {what}")


def _write(path: Path, data: bytes, more: str = "") -> None:
    write_atomically(path, data)
    say(f"written: {path} ({size(len(data))}){more}")
