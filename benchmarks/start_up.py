"""How long does a person wait for the help, for the first character, and for the first step of training?

Run: ``python -m benchmarks.start_up [--rounds 7]``

Each command is started as a process of its own, in turn, medians; the first round only warms the disk. The first
character is that of ``charlstm sample starter``; the first step is that of ``charlstm train`` on the bundled corpus,
with settings chosen and the machine measured. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import machine

COMMAND = [sys.executable, "-m", "charlstm"]


def help_page() -> float:
    """Seconds of ``charlstm --help``."""
    began = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_character() -> float:
    """Seconds until ``charlstm sample`` has written a character."""
    command = [*COMMAND, "sample", "starter", "--length", "0"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        seconds = time.perf_counter() - began
        process.kill()
    return seconds


def first_step() -> float:
    """Seconds until ``charlstm train`` has done a step: until it says that it begins, and what the step took."""
    with tempfile.TemporaryDirectory() as root:
        command = [*COMMAND, "train", "--root", root, "--json", "--preview", "0", "--max-steps", "1"]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - began
            events = [json.loads(line) for line in process.stdout]
    return seconds + next(event["seconds"] for event in events if event["event"] == "StepDone")


def main() -> None:
    """Measure, print a table, and one JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    waits = {"--help": help_page, "first character": first_character, "first step of training": first_step}
    seen: dict[str, list[float]] = {name: [] for name in waits}
    for number in range(options.rounds + 1):
        for name, wait in waits.items():
            seconds = wait()
            if number:
                seen[name].append(seconds)
    medians = {name: round(statistics.median(seconds), 3) for name, seconds in seen.items()}
    for name, seconds in medians.items():
        print(f"{name:24}{seconds:8.2f} s")
    print(json.dumps({"benchmark": "start_up", "seconds": medians, **machine()}))


if __name__ == "__main__":
    main()
