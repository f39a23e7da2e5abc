"""Modules made into a program: which branches are taken, what is left out, what is imported."""

from __future__ import annotations

from textwrap import dedent

import pytest

from charlstm.export.specialise import decided, imports, specialised


def function(*lines: str) -> str:
    return "def f(x):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, ("y = 1", "# why", "y += 1  # more", "return y")), (0, ("y = 1", "y -= 1", "return y"))],
)
def test_the_branch_that_is_taken_stands_where_the_test_was(value: int, expected: tuple[str, ...]) -> None:
    source = function(
        "y = 1", "if KNOWN:", "    # why", "    y += 1  # more", "else:", "    y -= 1", "return y"
    )  # fmt: skip
    assert decided(source, {"KNOWN": value}) == function(*expected)


def test_a_branch_that_is_not_taken_leaves_nothing() -> None:
    assert decided(function("if KNOWN:", "    x += 1", "return x"), {"KNOWN": ""}) == function("return x")


def test_after_a_branch_that_returns_nothing_follows() -> None:
    source = function("if KNOWN > 1:", "    x += 1", "    return x", "x -= 1", "return x")
    assert decided(source, {"KNOWN": 2}) == function("x += 1", "return x")
    assert decided(source, {"KNOWN": 1}) == function("x -= 1", "return x")


def test_branches_within_branches_and_loops() -> None:
    source = """\
def f(x):
    for y in x:
        if A:
            if B == "b":
                x += y

            else:
                x = y
            x *= 2
        try:
            if A:
                x += 1
            x += 2
        finally:
            x = 0
"""
    wanted = """\
def f(x):
    for y in x:
        x += y
        x *= 2
        try:
            x += 1
            x += 2
        finally:
            x = 0
"""
    assert decided(source, {"A": True, "B": "b"}) == wanted


@pytest.mark.parametrize("test", ["x", "KNOWN and x", "f(KNOWN)", "True"])
def test_what_is_not_known_is_not_decided(test: str) -> None:
    source = function(f"if {test}:", "    return 1", "return 2")
    assert decided(source, {"KNOWN": 1}) == source


ONE = dedent('''
    """The first part.

    More of it.
    """

    import math
    from functools import cache
    from numpy import array

    from charlstm.export.two import third

    LIMIT: int = 3  # why
    OTHER = 4


    @cache
    def first(x: array) -> int:
        """Says third, in words only."""
        return second(x) + math.ceil(LIMIT)


    def second(x):
        if KNOWN:
            return third(x)
        return fourth(x)


    def fourth(x):
        return OTHER
''')
TWO = '"""The second part."""\nimport sys, io\nfrom math import pi\n\n\ndef third(x):\n    return io.StringIO()\n'


def test_what_is_used_is_kept_in_order_with_its_comments() -> None:
    kept = specialised([ONE, TWO], {"KNOWN": True}, ["first"])
    assert [definition.name for definition in kept] == ["LIMIT", "first", "second", "third"]
    assert kept[0].source == "LIMIT: int = 3  # why\n"
    assert kept[1].source.startswith("@cache\ndef first")
    assert kept[0].section == "The first part.\n\nMore of it."
    assert kept[3].section == "The second part."
    assert [definition.is_function for definition in kept] == [False, True, True, True]
    assert "fourth" in {definition.name for definition in specialised([ONE, TWO], {"KNOWN": False}, ["first"])}


def test_what_is_needed_is_imported_and_none_of_the_modules_themselves() -> None:
    kept = specialised([ONE, TWO], {"KNOWN": True}, ["first"])
    names = {name for definition in kept for name in definition.names}
    assert imports([ONE, TWO], names) == (
        "import io\nimport math\nfrom functools import cache\n\nfrom numpy import array"
    )  # fmt: skip
