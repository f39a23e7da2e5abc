"""The tests of single modules, which are JavaScript too."""

import subprocess
from pathlib import Path

import pytest

from tests.page.node import needs_node

TESTS = sorted((Path(__file__).parent / "units").glob("*.test.mjs"))


@needs_node
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_module(path):
    done = subprocess.run(["node", "--test", str(path)], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stdout[-4000:]


def test_there_are_modules_with_tests():
    assert len(TESTS) > 1
