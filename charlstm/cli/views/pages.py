"""The four forms of a view: on the terminal, as one HTML file, as a picture, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from charlstm.cli.views.blocks import show_page
from charlstm.cli.views.terminal import say
from charlstm.report.blocks import Page

Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page for a browser.", show_default=False)
]
Png = Annotated[
    Path | None,
    typer.Option("--png", metavar="FILE", help="Write it as a picture; needs matplotlib.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print everything measured as one JSON object.")]


def check_forms(html: Path | None, png: Path | None) -> None:
    """Check before the work that its files can be written.

    Args:
        html: where the page is to go.
        png: where the picture is to go.

    Raises:
        UsageError: there is no matplotlib, or a folder does not exist.
    """
    from charlstm.errors import UsageError

    for path in (html, png):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError("its folder does not exist", where=path, hint=f"mkdir -p {path.parent}")
        if path is not None and path.is_dir():
            raise UsageError("is a folder, and a file is to be written", where=path)
    if html is not None and html == png:
        raise UsageError("the page and the picture need files of their own", where=html)
    if png is not None:
        from charlstm.report.plots import check

        check()


def present_page(page: Page, html: Path | None = None, png: Path | None = None, json_out: bool = False) -> None:
    """Show a page on stdout, and write it where asked.

    Args:
        page: the view.
        html: the file of the page, or none.
        png: the file of the picture, or none.
        json_out: whether stdout gets its data instead.

    Raises:
        StorageError: a file cannot be written.
    """
    write_page(page, html, png)  # first: whoever reads stdout may have seen enough and close it
    if json_out:
        print(json.dumps(page.data, default=_plain))  # in ASCII: a terminal obeys some characters beyond it
    else:
        show_page(page)


def write_page(page: Page, html: Path | None, png: Path | None) -> None:
    """Write a page where asked.

    Args:
        page: the view.
        html: the file of the page, or none.
        png: the file of the picture, or none.

    Raises:
        StorageError: a file cannot be written.
    """
    from charlstm.files import write_atomically

    for path, draw in ((html, _html), (png, _png)):
        if path is None:
            continue
        write_atomically(path, draw(page))
        say(f"written: {path}")


def _html(page: Page) -> bytes:
    from charlstm.report.page import html_page

    return html_page(page).encode()


def _png(page: Page) -> bytes:
    from charlstm.report.picture import png

    return png(page)


def _plain(value: Any) -> Any:
    """An array as lists, for JSON."""
    return value.tolist()
