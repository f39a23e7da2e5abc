"""Modules joined to one script: the same values, in the right order, and what cannot be joined is refused."""

import base64
import json
import re
import subprocess

import pytest

from charlstm.page.bundle import bundle
from charlstm.page.site import Embedded, read, served_files, standalone_page
from tests.page.node import evaluate, needs_node

MODULES = {
    "app.js": 'import { two as deux, Box } from "./lib/two.js";\nimport { one } from "./one.js";\n'
    "console.log(JSON.stringify([one, deux(), new Box().it, typeof hidden]));\n",
    "one.js": "export const one = 1;\nconst hidden = 5;\n",
    "lib/two.js": 'import {\n  one,\n} from "../one.js";\nconst hidden = 4;\n'
    "export function two() { return one + one; }\nexport class Box { it = hidden; }\n",
}


@needs_node
def test_a_bundle_does_what_its_modules_do():
    script = bundle("app.js", MODULES.__getitem__)
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == [1, 2, 4, "undefined"]
    assert script.index("// one.js") < script.index("// lib/two.js") < script.index("// app.js")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('import { app } from "./app.js";', "import each other: app.js → lib/two.js → one.js → app.js"),
        ("export default 1;", "export default"),
        ('import * as all from "./lib/two.js";', "import \\* as all"),
        ("export { hidden };", "export"),
    ],
)
def test_what_cannot_be_joined_is_refused(text, fault):
    with pytest.raises(ValueError, match=fault):
        bundle("app.js", {**MODULES, "one.js": f"{text}\nexport const one = 1;\n"}.__getitem__)


@needs_node
def test_the_whole_page_is_one_script_without_syntax_errors(tmp_path):
    path = tmp_path / "page.js"
    path.write_text(bundle("ui/app.js", read), "utf-8")
    subprocess.run(["node", "--check", str(path)], check=True, capture_output=True, timeout=60)


@needs_node
def test_weights_are_packed_as_the_page_unpacks_them():
    data = bytes(range(256)) * 3 + b"ab"
    script = """
    const { fromBase85 } = await import(`${page}/ui/embedded.js`);
    console.log(JSON.stringify([...fromBase85(given)]));
    """
    assert bytes(evaluate(script, base64.b85encode(data).decode().replace("<", ","))) == data


def test_every_module_that_is_served_is_reached_from_the_first():
    script = bundle("ui/app.js", read)
    for path in served_files():
        if path.endswith(".js"):
            assert f"\n// {path}\n" in script, f"{path} is imported by nothing"


def test_a_page_with_networks_refers_to_nothing_outside_itself():
    facts = {"name": "</script><b>", "opening": "<!-- \u2028"}
    page = standalone_page([Embedded("mine", bytes(range(256)) * 10_000, facts)])
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "</script><b>" not in page
    assert page.count("<!--") == 0
    assert json.loads(re.findall(r'id="models">(.*?)</script>', page)[0])[0]["name"] == facts["name"]
