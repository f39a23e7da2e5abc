"""Every example of docs/library.md runs, and prints what the page says."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "library.md"


def test_the_examples_of_the_page_run_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("charlstm.api.train.cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "my.txt").write_text("one two three four five six seven\n" * 60)
    # Nobody waits five minutes for a test.
    page = PAGE.read_text("utf-8").replace('max_time="5m"', 'max_steps=20, hidden_size=16, device="cpu"')
    page = page.replace("```\n", "\n")  # else the end of a block would be part of what is printed
    test = doctest.DocTestParser().get_doctest(page, {}, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failed, attempted = runner.run(test)
    assert not failed, capsys.readouterr().out
    assert attempted == page.count("\n>>> ")
