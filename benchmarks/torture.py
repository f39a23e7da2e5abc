"""What is promised when things go wrong, attacked at full size: how many rounds, how many failures, how long?

Run: ``python -m benchmarks.torture [NAME …]`` or ``make torture``

NAME is a module of ``tests/torture`` without its ``test_``, such as ``killed``; without any all are run, which takes
hours. The rounds are those that a test counts, else its cases.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import records

FOLDER = records.ROOT / "tests" / "torture"


def main() -> None:
    """Run the tests, print, record."""
    parser = records.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    record = records.begin("torture")
    names = options.names or sorted(path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py"))
    failed = False
    for name in names:
        for test, rounds, failures, seconds in _run(FOLDER / f"test_{name}.py"):
            row = f"{name.replace('_', ' ')}: {test}"
            record.add(row, "rounds", "rounds", rounds)
            record.add(row, "failures", "failures", failures)
            record.add(row, "time", "minutes", seconds / 60)
            failed |= failures > 0
    record.show()
    record.finish(options)
    sys.exit(failed)


def _run(file: Path) -> Iterator[tuple[str, float, float, float]]:
    """Run a module at full size: each test with rounds, failures and seconds over its cases."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", str(file), "--full", "-m", "", f"--junitxml={report}", "--timeout=0"]
        subprocess.run(command, cwd=records.ROOT, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    found: dict[str, list[float]] = {}
    for case in cases:
        test = str(case.get("name")).partition("[")[0].removeprefix("test_").replace("_", " ")
        counted = [float(each.get("value", 0)) for each in case.iter("property") if each.get("name") == "rounds"]
        rounds = sum(counted) if counted else float(not any(each.tag == "skipped" for each in case))
        failures = float(sum(each.tag in ("failure", "error") for each in case))
        sums = found.setdefault(test, [0.0, 0.0, 0.0])
        for place, value in enumerate((rounds, failures, float(case.get("time", 0)))):
            sums[place] += value
    for test, (rounds, failures, seconds) in found.items():
        if rounds or failures:
            yield test, rounds, failures, seconds


if __name__ == "__main__":
    main()
