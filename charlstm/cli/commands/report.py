"""``charlstm report``: one page about a training run, or about several side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from charlstm.cli import options
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.pages import Forms

EPILOG = """Examples:

\b
  charlstm report                           of the newest run
  charlstm report my-1                      of the run my-1
  charlstm report my-1 my-2                 two runs side by side, at equal time
  charlstm report my-1 --html my-1.html     a page for a browser, which needs nothing else
  charlstm report my-1 my-2 --png both.png  a picture
  charlstm report my-1 --json               every number, for a program
"""

app = options.one_command()


@app.command(epilog=EPILOG)
@options.gathered
def report(
    forms: Forms,
    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN", help="Names or folders of runs, or 'latest'. [default: the newest run]", show_default=False
        ),
    ] = None,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Show how a training went: its curves, and what it wrote.

    Losses stand beside what gzip, xz and the frequencies of characters after two others would need for the same text.
    Several runs are compared after equal time. Training leaves the same page as report.html beside the checkpoint.
    """
    from charlstm.checkpoint.store import Store
    from charlstm.cli import reporting
    from charlstm.inspect.pages.run import run_page

    forms.check()
    store, folder = Store(root), options.cache_or_default(cache)
    folders = dict.fromkeys(reporting.find(store, reference) for reference in references or (None,))
    runs = [reporting.read(each, folder) for each in folders]
    forms.present(run_page(runs))
