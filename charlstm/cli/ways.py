"""``charlstm sample --ways`` and ``--pick``: several ways to go on, and one of them chosen, again and again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlstm.cli.views.terminal import say
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.cli.load_model import Writer
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.guides import Guide
    from charlstm.sampling.ways import Branches

_WAYS = 3
"""Ways that were shown, unless it is said how many."""


@dataclass(frozen=True)
class Choice:
    """What a person chose, and whether the ways after it are to be shown."""

    ways: int
    """How many ways there are to choose from."""
    shown: bool
    """Whether they are shown; otherwise the last one chosen is written to its end."""
    path: tuple[int, ...]
    """The numbers of the ways chosen, from 1."""

    def branches(self, loaded: Writer, config: SampleConfig, guide_after: Callable[[str], Guide | None]) -> Branches:
        """Return what draws the ways.

        Args:
            loaded: the model.
            config: filters, end and seed.
            guide_after: makes the rule that a way keeps from the text before it.
        """
        from charlstm.sampling.ways import Branches

        return Branches(loaded.model, loaded.writing, config, max(self.ways, *self.path, 1), guide_after)


def parse_choice(ways: int | None, pick: str | None, seed: int | None, **others: object) -> Choice | None:
    """Check what was typed.

    Args:
        ways: of ``--ways``.
        pick: of ``--pick``, such as ``2`` or ``2,1``.
        seed: of ``--seed``.
        others: options that exclude these, with their values, empty where not given.

    Returns:
        The choice; None if neither option was given.

    Raises:
        UsageError: a number is out of range, the seed is missing, or another option was given, too.
    """
    if ways is None and pick is None:
        return None
    from charlstm.sampling.ways import MOST

    name = "--ways" if pick is None else "--pick"
    other = next((option for option, value in others.items() if value), None)
    if other is not None:
        raise UsageError(f"{name} and {other} exclude each other", hint="Leave one of them out.")
    if ways is not None and not 2 <= ways <= MOST:
        raise UsageError(f"--ways {ways} must be 2 to {MOST}")
    path = () if pick is None else _path(pick, ways or MOST)
    if path and seed is None:
        raise UsageError("--pick needs the seed of the ways", hint="It was shown with them: add --seed N.")
    return Choice(ways or _WAYS, ways is not None, path)


def _path(pick: str, most: int) -> tuple[int, ...]:
    if not re.fullmatch(r"\s*[0-9]+\s*(,\s*[0-9]+\s*)*", pick):
        raise UsageError(f"--pick {pick!r} is no number of a way", hint="Write it like 2; or 2,1 after two choices.")
    path = tuple(int(number[:9]) for number in pick.split(","))
    for number in path:
        if not 1 <= number <= most:
            raise UsageError(f"--pick {number} must be 1 to {most}")
    return path


def say_how_to_go_on(choice: Choice, seed: int | None) -> None:
    """Tell how to choose one of the ways that were shown.

    Args:
        choice: what they were shown after.
        seed: that they were drawn with.
    """
    numbers = ",".join(map(str, (*choice.path, 1)))
    say(
        f"choose one: --pick {numbers} --seed {seed} writes on with the first; "
        f"with --ways {choice.ways} it shows the ways after that"
    )
