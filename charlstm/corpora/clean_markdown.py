r"""Turns the light Markdown of a published book into plain text.

The rule, in this order:

1. The front matter goes: everything up to the first line that is only dashes, if it is among the first twenty lines.
2. Line ends become LF; HTML entities and the control characters of cp1252 become the characters they stand for.
3. Marks go and their text stays: ``#`` of headings, ``>`` of quotations, ``_`` and ``*`` of emphasis, ``\\`` before
   punctuation. A line of three stars or more becomes ``* * *``, a star before a blank stays (a footnote).
4. Runs of blanks inside a line become one; of those that indent a verse up to eight stay; those at its end go.
5. At most one empty line stands between two lines, none at the start, and the text ends with a newline.

Quotation marks, dashes and spelling stay as they are.
"""

from __future__ import annotations

import html
import re

_FRONT_MATTER_LINES = 20
_INDENT = 8  # blanks
_CP1252 = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}
_QUOTATION = re.compile(r"^(?:[ \t]*>)+[ \t]?", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}(?=[ \t]|$)[ \t]*", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:\*[ \t]*){3,}$", re.MULTILINE)
_EMPHASIS = re.compile(r"_|\*(?=[^\s*])|(?<=[^\s*])\*|\*\*")
_ESCAPE = re.compile(r"\\(?=[^\w\s])")
_BLANKS = re.compile(r"(?<=[^ ]) {2,}")


def clean_markdown(text: str) -> str:
    """Return the plain text of a book in light Markdown, by the rule above.

    Args:
        text: the book as it is published.

    Returns:
        The text without front matter and marks; empty if nothing else was there.
    """
    text = _without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    text = html.unescape(text).translate(_CP1252).replace("\t", " ").replace("\xa0", " ")
    text = _HEADING.sub("", _QUOTATION.sub("", text))
    text = _RULE.sub("\0", text)
    text = _ESCAPE.sub("", _EMPHASIS.sub("", text)).replace("\0", "* * *")
    lines = (_clean_line(line) for line in text.split("\n"))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return f"{text}\n" if text else ""


def _without_front_matter(text: str) -> str:
    lines = text.split("\n")
    for number, line in enumerate(lines[:_FRONT_MATTER_LINES]):
        if len(line) >= 3 and not line.strip("- "):
            return "\n".join(lines[number + 1 :])
    return text


def _clean_line(line: str) -> str:
    content = line.lstrip(" ")
    indent = min(_INDENT, len(line) - len(content))
    content = _BLANKS.sub(" ", content).rstrip(" ")
    return " " * indent + content if content else ""
