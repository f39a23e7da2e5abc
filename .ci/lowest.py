"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

Only torch stays as in constraints.txt: earlier versions of it are gigabytes of code for GPUs.
"""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
groups = (project["dependencies"], *project["optional-dependencies"].values())
for requirement in chain.from_iterable(groups):
    name, lowest = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<\d+)?", requirement).groups()
    if name != "torch":
        print(f"{name}=={lowest}")
print(*(line for line in (ROOT / "constraints.txt").read_text("ascii").splitlines() if line.startswith("torch==")))
