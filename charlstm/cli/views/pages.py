"""The four forms of a view: on the terminal, as one HTML file, as a picture, as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli.options import expanded
from charlstm.cli.views.terminal import say
from charlstm.errors import UsageError
from charlstm.files import check_folder_of

if TYPE_CHECKING:
    from charlstm.report.blocks import Page

Html = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write it as one page for a browser.", show_default=False, callback=expanded
    ),
]
Png = Annotated[
    Path | None,
    typer.Option(
        "--png", metavar="FILE", help="Write it as a picture; needs matplotlib.", show_default=False, callback=expanded
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print everything measured as one JSON object.")]


@dataclass(frozen=True)
class Forms:
    """The forms that a view is asked for in: the options that all views have."""

    html: Html = None
    png: Png = None
    as_json: Json = False

    def check(self) -> None:
        """Check before the work that its files can be written.

        Raises:
            UsageError: there is no matplotlib, or a folder does not exist.
        """
        for path in (self.html, self.png):
            if path is not None:
                _check_file(path)
        if self.html is not None and self.html == self.png:
            raise UsageError("the page and the picture need files of their own", where=self.html)
        if self.png is not None:
            from charlstm.report.plots import check

            check()

    def present(self, page: Page) -> None:
        """Show a view on stdout, and write it where asked.

        Args:
            page: the view.

        Raises:
            StorageError: a file cannot be written.
        """
        from charlstm.cli.views.blocks import show_page

        self.write(page)  # first: whoever reads stdout may have seen enough and close it
        if self.as_json:
            print(json.dumps(page.data, default=_plain))  # in ASCII: a terminal obeys some characters beyond it
        else:
            show_page(page)

    def write(self, page: Page) -> None:
        """Write a view where asked.

        Args:
            page: the view.

        Raises:
            StorageError: a file cannot be written.
        """
        from charlstm.files import write_atomically

        for path, draw in ((self.html, _html), (self.png, _png)):
            if path is not None:
                write_atomically(path, draw(page))
                say(f"written: {path}")


def _check_file(path: Path) -> None:
    # With os.path, since a method of Path raises for a name that is too long.
    if str(path) == "-":
        raise UsageError("is standard output, which is for the view itself", where=path, hint="Give the file a name.")
    check_folder_of(path)
    if os.path.isdir(path):
        raise UsageError("is a folder, and a file is to be written", where=path)


def _html(page: Page) -> bytes:
    from charlstm.report.page import html_page

    return html_page(page).encode()


def _png(page: Page) -> bytes:
    from charlstm.report.picture import png

    return png(page)


def _plain(value: Any) -> Any:
    """An array as lists, for JSON."""
    return value.tolist()
