"""The command line."""

from __future__ import annotations

import argparse

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
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    if BOTH_SIDES:
        parser.description = "Fill the blanks of a text."
        parser.add_argument("text", help="a text in which each underscore is a token to find")
        parser.add_argument("--candidates", type=int, default=100, help="more find better answers, more slowly")
        given = vars(parser.parse_args())
        try:
            print(fill(**given))
        except ValueError as fault:
            parser.error(str(fault))
    else:
        parser.description = "Write like the training text."
        parser.add_argument("prompt", nargs="?", default="", help="the text to go on with")
        parser.add_argument("-n", "--length", type=int, default=LENGTH, help="tokens to write; 0 is endless")
        parser.add_argument("-t", "--temperature", type=float, default=TEMPERATURE, help="low is careful, high is wild")
        parser.add_argument("--top-p", type=float, default=TOP_P, help="the likeliest that add up to this; 1 is off")
        parser.add_argument("--min-p", type=float, default=MIN_P, help="least share of the likeliest; 0 is off")
        parser.add_argument("--no-repeat", type=int, default=NO_REPEAT, help="tokens said again, at most; 0 is off")
        parser.add_argument("--longest-run", type=int, default=LONGEST_RUN, help="equal tokens in a row; 0 is off")
        parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="the same one gives the same text")
        parser.add_argument("--count", type=int, default=COUNT, help="texts")
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
