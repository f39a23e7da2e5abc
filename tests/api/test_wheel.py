"""The wheel, installed: a user's program runs, and type checkers see its types."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

RIGHT = """
import charlstm
from charlstm import Event, Filling, Model, SampleConfig, Score

model: Model = charlstm.load("starter")
text: str = model.generate("TOBIN:", length=20, seed=1)
likeliest: list[tuple[str, float]] = model.next("The ", top=3)
fillings: list[Filling] = model.fill("The s__", count=2)
score: Score = model.score("A boat.")


def watch(event: Event) -> None:
    print(event.step)


def learn() -> Model:
    return charlstm.fit("my.txt", max_time="5m", hidden_size=256, progress=watch)
"""

WRONG = {
    'charlstm.load("starter").generate("a", lenght=20)': 'keyword argument "lenght"',
    'charlstm.load("starter").generate("a", length="20")': 'incompatible type "str"; expected "int"',
    'charlstm.train("my.txt", hiden_size=3)': 'keyword argument "hiden_size"',
    'charlstm.fit("my.txt", cell="lstn")': "expected \"Literal['rnn', 'lstm', 'gru', 'peephole']",
    'charlstm.load("starter").nothing': 'has no attribute "nothing"',
}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python where the wheel is installed, and what it needs from the environment of these tests."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(PROJECT)]
    subprocess.run([*pip, *build], check=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = folder / "venv" / scripts / "python"
    paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(packages), str(wheel)], check=True)
    # Its own packages come first; a path file in a folder that a path file names has no effect, so that the checkout
    # installed in the environment of these tests is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def check_types(python, file):
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    cache = ["--cache-dir", str(file.parent / "cache"), "--config-file", ""]
    return subprocess.run(
        [*command, *cache, file.name], cwd=file.parent, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_users_lines_run_and_have_types(python, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(RIGHT)
    environment = {"PATH": ""}
    where = (
        "import charlstm, pathlib, sys; folder = pathlib.Path(charlstm.__file__).parent\n"
        "assert pathlib.Path(sys.prefix) in folder.parents, folder\n"
        "assert (folder / 'py.typed').exists()"
    )
    subprocess.run([python, "-c", where], check=True, cwd=tmp_path, env=environment, timeout=60)
    subprocess.run([python, file], check=True, cwd=tmp_path, env=environment, timeout=60)
    checked = check_types(python, file)
    assert checked.returncode == 0, checked.stdout

    wrong = tmp_path / "wrong.py"
    wrong.write_text("import charlstm\n" + "\n".join(WRONG) + "\n")
    lines = check_types(python, wrong).stdout.splitlines()
    for number, message in enumerate(WRONG.values(), 2):
        assert any(line.startswith(f"wrong.py:{number}: error:") and message in line for line in lines), lines
