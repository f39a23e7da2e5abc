"""The command line."""

from __future__ import annotations

import argparse
import os

from charlstm.export.numpy_parts.filling import fill
from charlstm.export.numpy_parts.settings import (
    BOTH_SIDES,
    COUNT,
    LENGTH,
    LONGEST_RUN,
    MIN_P,
    NO_REPEAT,
    TEMPERATURE,
    TOP_P,
)
from charlstm.export.numpy_parts.writing import stream


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    option = parser.add_argument
    if BOTH_SIDES:
        parser.description = "Fill the blanks of a text."
        option("text", help="a text in which each underscore is a token to find")
        option("--candidates", type=int, default=100, help="more find better answers, more slowly (%(default)s)")
        given = vars(parser.parse_args())
        try:
            print(fill(**given))
        except ValueError as fault:
            parser.error(str(fault))
    else:
        parser.description = "Write like the training text."
        option("prompt", nargs="?", default="", help="the text to go on with")
        option("-n", "--length", type=int, default=LENGTH, help="tokens to write; 0 is endless (%(default)s)")
        option("-t", "--temperature", type=float, default=TEMPERATURE, help="low is careful, high wild (%(default)s)")
        option("--top-p", type=float, default=TOP_P, help="the likeliest that add up to this; 1 is off (%(default)s)")
        option("--min-p", type=float, default=MIN_P, help="least share of the likeliest; 0 is off (%(default)s)")
        option("--no-repeat", type=int, default=NO_REPEAT, help="tokens said again, at most; 0 is off (%(default)s)")
        option("--longest-run", type=int, default=LONGEST_RUN, help="equal tokens in a row; 0 is off (%(default)s)")
        option("--seed", type=int, help="the same one gives the same text")
        option("--count", type=int, default=COUNT, help="texts (%(default)s)")
        given = vars(parser.parse_args())
        try:
            for number in range(given.pop("count")):
                pieces = stream(**given, number=number)
                print(given["prompt"], end="", flush=True)
                for piece in pieces:
                    print(piece, end="", flush=True)
                print()
        except ValueError as fault:
            parser.error(str(fault))
        except KeyboardInterrupt:
            print()
        except BrokenPipeError:  # whoever reads this has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
