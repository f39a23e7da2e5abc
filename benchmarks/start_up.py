"""How long does a person wait for the help, for the first character, and for the first step of training?

Run: ``python -m benchmarks.start_up [--rounds 7]``

Each command is started as a process of its own, in turn; a first round warms the disk up and compiles the modules.
The first character is that of ``charlstm sample starter``; the first step is that of ``charlstm train`` on the bundled
corpus, with automatic settings and the measuring of the machine. The last line is the record of the run as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time

from benchmarks import records
from benchmarks.runs import CHARLSTM
from benchmarks.timing import interleaved


def help_page() -> float:
    """Seconds of ``charlstm --help``."""
    began = time.perf_counter()
    subprocess.run([*CHARLSTM, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_character(reference: str = "starter") -> float:
    """Seconds until ``charlstm sample`` has written a character.

    Args:
        reference: the checkpoint, as the command line names it.
    """
    command = [*CHARLSTM, "sample", reference, "--length", "0"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        seconds = time.perf_counter() - began
        process.kill()
    return seconds


def first_step() -> float:
    """Seconds until ``charlstm train`` has done a step: until its first event, plus what the step took."""
    with tempfile.TemporaryDirectory() as root:
        command = [*CHARLSTM, "train", "--root", root, "--json", "--preview", "0", "--max-steps", "1"]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - began
            events = [json.loads(line) for line in process.stdout]
    return seconds + float(next(event["seconds"] for event in events if event["event"] == "StepDone"))


def main() -> None:
    """Measure, print a table, record."""
    parser = records.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a person's Python compiles a module once, not at every start
    record = records.begin("start_up")
    waits = {"charlstm --help": help_page, "first character": first_character, "first step of training": first_step}
    for row, seconds in interleaved(waits, options.rounds, pause=0).items():
        print(f"{row:24}{statistics.median(seconds):8.2f} s")
        record.add(row, "wait", "seconds", seconds)
    record.finish(options)


if __name__ == "__main__":
    main()
