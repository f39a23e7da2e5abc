"""The pages of docs/: links that lead somewhere, decisions that say when and by which commit, a README one can read."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted(DOCS.rglob("*.md"))]
DECISIONS = [page for page in sorted((DOCS / "decisions").glob("*.md")) if page.stem not in ("README", "archive")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not link.startswith("https://") and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_question_its_date_and_commit_and_its_command(page):
    text = page.read_text("utf-8")
    question, decision, measured = (text.find(f"**{part}.**") for part in ("Question", "Decision", "Measured with"))
    assert 0 < question < decision < measured
    assert re.search(r"2026-\d\d-\d\d.*?`[0-9a-f]{7}`", text[decision:measured], re.DOTALL)
    assert "|---|" in text[measured:]


def test_the_index_lists_every_decision():
    index = (DOCS / "decisions" / "README.md").read_text("utf-8")
    assert [page.name for page in DECISIONS if f"({page.name})" not in index] == []


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 1200
