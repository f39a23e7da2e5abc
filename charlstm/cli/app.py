"""The root of the command line: it runs a command, and turns every error into one line and an exit code."""

from __future__ import annotations

import errno
import re
import sys
from typing import Annotated, NoReturn

import typer

import charlstm
from charlstm.cli import launch, streams
from charlstm.cli.lazy_group import Commands
from charlstm.cli.spelling import error_line
from charlstm.cli.views.terminal import say
from charlstm.errors import CharlstmError, is_out_of_memory

EPILOG = """Examples:

\b
  charlstm sample                        write at once, with the newest run or the starter
  charlstm train my.txt --max-time 5m    learn from a text for five minutes
  charlstm sample my-1 --prompt "Once"   write with the model it gave
  charlstm fill "The s__ was rising."    fill in a blank
  charlstm serve                         play with them in a browser
  charlstm eval my-1 other.txt           how surprising is another text?
  charlstm originality my-1              what does it copy from its text?
  charlstm checkpoints list              what has been trained?
  charlstm tune my.txt --budget 1h       which settings learn a text best?
  charlstm lab gap                       how far back does each kind of network remember?
"""

app = typer.Typer(
    name="charlstm",
    epilog=EPILOG,
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"charlstm {charlstm.__version__}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train a character-level LSTM on a text and let it write in that text's style."""


def main() -> NoReturn:
    """Run the command line and end the process with its exit code.

    0 ok, 1 unexpected, 2 usage or settings, 3 corrupt or incompatible file, 4 not found, 5 out of memory,
    6 disk or permission, 7 diverged, 129 SIGHUP (the terminal was closed), 130 Ctrl-C, 143 SIGTERM.
    """
    streams.prepare()
    _exit(_run())


def _run() -> int:
    try:
        result = app(prog_name="charlstm", standalone_mode=False)
    except CharlstmError as fault:
        return _report(error_line(fault), fault.exit_code)
    except typer.Abort as fault:  # at a question
        say("")
        return _report("nothing was done", 130 if isinstance(fault.__context__, KeyboardInterrupt) else 1)
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:
        return _system_exit(leaving)
    except Exception as fault:
        if is_out_of_memory(fault):
            return _report("out of memory. Close other programs, or use a smaller model or text", 5)
        if isinstance(fault, OSError):
            return _os_error(fault)
        if hasattr(fault, "format_message"):  # the parser's own: an unknown option, a value of the wrong kind
            return _usage(fault)
        raise
    return result if isinstance(result, int) else 0


def _system_exit(leaving: SystemExit) -> int:
    """The code that ``sys.exit`` was called with."""
    cause = leaving.__context__
    if isinstance(cause, OSError) and cause.errno == errno.EPIPE:
        return 0  # Typer leaves with 1 when whoever read the output has seen enough, which is no error
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    return _report(str(leaving.code), 1)


def _report(text: str, code: int) -> int:
    if not launch.is_secondary():
        say(f"charlstm: {text}")
    return code


def _usage(fault: Exception) -> int:
    context = getattr(fault, "ctx", None)
    command = context.command_path if context is not None else "charlstm"
    message = str(fault.format_message())  # type: ignore[attr-defined]
    message = re.sub(r"Input should be ([^,]*)(,.*)?", r"it must be \1", message).replace("Value error, ", "")
    if type(fault).__name__ == "NoArgsIsHelpError":
        typer.echo(message)
        return 2
    end = "?" if message.endswith("?") else "."
    return _report(f"{message.rstrip('.?')}{end} See: {command} --help", 2)


def _os_error(fault: OSError) -> int:
    if fault.errno == errno.EPIPE:  # the output's reader has seen enough
        return 0
    plain = {
        errno.ENOSPC: "no space is left on the disk; free some and run the same command again",
        errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
        errno.EACCES: "no permission",
        errno.EPERM: "no permission",
        errno.EROFS: "this disk is read-only",
    }
    where = f"{fault.filename}: " if fault.filename else ""
    if fault.errno in plain:
        return _report(f"{where}{plain[fault.errno]}", 6)
    if fault.errno == errno.ENOENT:
        return _report(f"{where}no such file or folder", 4)
    return _report(f"{where}{fault.strerror or fault}", 1)


def _exit(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as fault:
        if isinstance(fault, OSError):
            code = code or _os_error(fault)
        streams.discard(sys.stdout)  # so that the interpreter's own last flush stays quiet
    sys.exit(code)
