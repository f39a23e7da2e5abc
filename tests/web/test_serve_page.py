"""Every example of docs/serve.md runs, and prints what the page says."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import charlstm
from charlstm.web.models import Served
from tests.web.running import running

PAGE = Path(__file__).parent.parent.parent / "docs" / "serve.md"


def test_the_examples_of_the_page_run_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    starter = charlstm.load("starter")
    with running(Served("starter", starter.checkpoint, starter.writer)) as server:
        page = PAGE.read_text("utf-8").replace("127.0.0.1:8000", server.host)
        page = page.replace("```\n", "\n")  # else the end of a block would be part of what is printed
        test = doctest.DocTestParser().get_doctest(page, {}, PAGE.name, str(PAGE), 0)
        failed, attempted = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert not failed, capsys.readouterr().out
    assert attempted == page.count("\n>>> ")
