"""The process of one trial: trains what standard input describes, and writes events to standard output.

Started as ``python -m charlstm.tuning.worker`` by `trial_process`; `protocol` describes the lines. When standard input
ends, normally because the search was killed, the worker finishes its step, saves and ends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from charlstm.checkpoint.provenance import Provenance
from charlstm.checkpoint.store import Store
from charlstm.errors import CharlstmError
from charlstm.events import StepDone
from charlstm.training.memory import keep_freed_memory
from charlstm.training.prepare import begin, prepare
from charlstm.tuning.protocol import Message, TrialError, TrialSpec, decode_spec, encode


def main(stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Train one trial.

    Args:
        stdin: gives a `TrialSpec` as its first line; its end stops training. Unbuffered: at exit Python waits for the
            lock of a buffered stream that a thread is still reading.
        stdout: receives the messages.

    Returns:
        The exit code of the process: 0, or that of the error that ended the trial.
    """
    stop = threading.Event()
    keep_freed_memory()  # the process is the worker's own

    def send(message: Message) -> None:
        try:
            stdout.write(encode(message))
            stdout.flush()
        except OSError:  # the search has ended: save and end too
            stop.set()

    try:
        spec = decode_spec(stdin.readline())
        threading.Thread(target=_wait_for_end, args=(stdin, stop), daemon=True).start()
        train(spec, stop.is_set, send)
    except CharlstmError as error:
        send(TrialError(str(error), error.exit_code))
        return error.exit_code
    return 0


def train(spec: TrialSpec, stop: Callable[[], bool], send: Callable[[Message], object]) -> None:
    """Train a trial from its first step to the end of its time.

    Args:
        spec: what to train, and where.
        stop: checked after every step; True saves and ends.
        send: called with every event but `StepDone`.

    Raises:
        CharlstmError: the text, a setting, the disk or the memory does not allow it.
    """
    prepared = prepare(spec.settings, Path(spec.cache))
    store = Store(Path(spec.root))
    training = begin(prepared, store.folder(spec.name), provenance=Provenance.from_plain(spec.provenance))
    # The folder comes last, just before the first event is written into it: whenever this process is killed, its files
    # say whose they are, and the search can remove them.
    folder = store.create(spec.name, spec.name)
    with store.lock(folder):
        for event in training.events(stop):
            if not isinstance(event, StepDone):
                send(event)


def _wait_for_end(stdin: BinaryIO, stop: threading.Event) -> None:
    with suppress(OSError):
        while stdin.read(1024):
            pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main(open(0, "rb", buffering=0), sys.stdout.buffer))  # noqa: SIM115 - open to the end
