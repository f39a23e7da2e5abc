"""The root of the command line: every command's place, and every error's one line and exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Annotated, NoReturn

import typer

import charlstm
from charlstm.cli import launch as several
from charlstm.cli.lazy_group import Commands
from charlstm.cli.spelling import error_line
from charlstm.cli.views.terminal import say
from charlstm.errors import CharlstmError

EPILOG = """Examples:

\b
  charlstm sample                        write at once, from the newest run or the starter
  charlstm train my.txt --max-time 5m    learn from a text for five minutes
  charlstm sample my-1 --prompt "Once"   write with what was learnt
  charlstm fill "The s__ was rising."    guess what stands in a gap
  charlstm eval my-1 other.txt           how surprising is another text?
  charlstm checkpoints list              what there is
  charlstm tune my.txt --budget 1h       which settings learn it best?
  charlstm lab gap                       where does each kind of network forget?
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
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train a character-level LSTM on a text; let it write in that text's style."""


def main() -> NoReturn:
    """Run the command line and leave with its exit code.

    0 ok, 1 unexpected, 2 usage or config, 3 corrupt or incompatible file, 4 not found, 5 out of memory,
    6 disk or permission, 7 diverged, 130 Ctrl-C, 143 SIGTERM.
    """
    # Started with a stream closed (`>&-`), Python has None there; what is written to nobody is lost, not an error.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    streams = (sys.stdin, "surrogateescape"), (sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")
    for stream, errors in streams:
        if hasattr(stream, "reconfigure"):  # whatever the locale: text is UTF-8, and no character stops a message
            stream.reconfigure(encoding="utf-8", errors=errors)
    code = _run()
    _leave(code)


def _run() -> int:
    try:
        result = app(prog_name="charlstm", standalone_mode=False)
    except CharlstmError as fault:
        return _tell(error_line(fault), fault.exit_code)
    except typer.Abort as fault:  # at a question
        say("")
        return _tell("nothing was done", 130 if isinstance(fault.__context__, KeyboardInterrupt) else 1)
    except KeyboardInterrupt:
        return 130
    except SystemExit:
        return 0  # Typer's answer to a reader that has gone; it leaves in no other way when told not to
    except MemoryError:
        return _tell("out of memory. Close other programs, or take a smaller model or text", 5)
    except OSError as fault:
        return _os_error(fault)
    except Exception as fault:
        if hasattr(fault, "format_message"):  # the parser's own: an unknown option, a value of the wrong kind
            return _usage(fault)
        raise
    return result if isinstance(result, int) else 0


def _tell(text: str, code: int) -> int:
    if not several.is_quiet():
        say(f"charlstm: {text}")
    return code


def _usage(fault: Exception) -> int:
    context = getattr(fault, "ctx", None)
    command = context.command_path if context is not None else "charlstm"
    message = str(fault.format_message())  # type: ignore[attr-defined]
    message = re.sub(r"Input should be ([^,]*),.*", r"it must be \1", message)
    if type(fault).__name__ == "NoArgsIsHelpError":
        typer.echo(message)
        return 2
    return _tell(f"{message.rstrip('.?')}. See: {command} --help", 2)


def _os_error(fault: OSError) -> int:
    if fault.errno == errno.EPIPE:  # whoever read the output has seen enough
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
        return _tell(f"{where}{plain[fault.errno]}", 6)
    if fault.errno == errno.ENOENT:
        return _tell(f"{where}no such file or folder", 4)
    return _tell(f"{where}{fault.strerror or fault}", 1)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as fault:
        if isinstance(fault, OSError):
            code = _os_error(fault) or code
        # Point stdout at nothing, so that the interpreter's own last flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
