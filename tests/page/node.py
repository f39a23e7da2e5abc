"""JavaScript of the page, run by Node as it stands."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "charlstm" / "page"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node, from your system's packages")


def evaluate(script: str, argument: Any = None) -> Any:
    """Run a module of JavaScript; return what it prints, as JSON.

    Args:
        script: its text; ``page`` is the address of the page's folder, and ``given`` the argument.
        argument: what JSON can hold.
    """
    head = (
        'import { readFileSync } from "node:fs";\n'
        f"const page = {json.dumps(PAGE.as_uri())};\n"
        'const given = JSON.parse(readFileSync(0, "utf8"));\n'
        "const fileOf = (path) => { const { buffer, byteOffset, length } = readFileSync(path);"
        " return buffer.slice(byteOffset, byteOffset + length); };\n"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", head + script],
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)
