"""`make controls`: take each protection away from a copy of the product, and see its tests go red.

The list is in `protections.py`. First the tests must be green on an untouched copy; then each
control patches a copy of its own. A test counts as red only when it fails, and says why it should.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.protections import CONTROLS, Control
from tests.fixtures.command import BIN, REPOSITORY
from tests.fixtures.server import Server

COPIED = ("tenantmig", "tests", "docs", "alembic", "examples")
FILES = ("pyproject.toml", "alembic.ini")
LIMIT_S = 240  # for one test
PYTEST = (
    "-m", "pytest", "-m", "", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout",
    str(LIMIT_S), "--tb=short", "-q", "-rA",
)  # fmt: skip


@contextmanager
def copy(control: Control | None = None) -> Iterator[Path]:
    """Copy what the tests run, without the protection of a control."""
    with tempfile.TemporaryDirectory(prefix="control-") as folder:
        root = Path(folder)
        for name in COPIED:
            shutil.copytree(REPOSITORY / name, root / name)
        for name in FILES:
            shutil.copy2(REPOSITORY / name, root / name)
        for patch in control.patches if control else ():
            file = root / "tenantmig" / patch.file
            text = file.read_text()
            if (found := text.count(patch.old)) != 1:
                sys.exit(f"{patch.file} has {found} times, not once:\n{patch.old}")
            file.write_text(text.replace(patch.old, patch.new))
        check_is_used(root)
        yield root


def environment(root: Path, url: str = "") -> dict[str, str]:
    """Put the copy before the installed package, for the command and its workers too."""
    return os.environ | {"PYTHONPATH": str(root), "TENANTMIG_TEST_DATABASE_URL": url}


def check_is_used(root: Path) -> None:
    """Make sure that a program in the folder of the installed command imports the copy."""
    look: list[str | Path] = [BIN / "python", "-c", "import tenantmig; print(tenantmig.__file__)"]
    found = subprocess.run(
        look, cwd=BIN, env=environment(root), capture_output=True, text=True, check=True
    )
    if found.stdout.strip() != str(root / "tenantmig" / "__init__.py"):
        sys.exit(f"the copy in {root} is not used: {found.stdout}")


def run(root: Path, url: str, tests: Sequence[str]) -> tuple[set[str], set[str], str]:
    """Run tests on a copy; return those that passed, those that failed, and what was said."""
    done = subprocess.run(
        [BIN / "python", *PYTEST, *tests],
        cwd=root, env=environment(root, url), capture_output=True, text=True, check=False,
    )  # fmt: skip
    text = done.stdout + done.stderr
    told: dict[str, set[str]] = {"PASSED": set(), "FAILED": set(), "ERROR": set()}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in told:
            told[word].add(rest.partition(" - ")[0])
    return told["PASSED"] - told["ERROR"], told["FAILED"], text


def is_green(url: str, tests: Sequence[str]) -> bool:
    """Run all tests with every protection in place."""
    with copy() as root:
        passed, _, text = run(root, url, tests)
    if missing := sorted(set(tests) - passed):
        print(text, "Not green with every protection in place:", *missing, sep="\n")
    return not missing


def is_red(url: str, control: Control) -> bool:
    """Run a control: without the protection each of its tests must fail, and say why."""
    began = time.monotonic()
    with copy(control) as root:
        _, failed, text = run(root, url, control.tests)
    if set(control.tests) <= failed:
        verdict = "red as it must be" if control.sign in text else "RED FOR ANOTHER REASON"
    else:
        verdict = "STILL GREEN"
    took = f"{time.monotonic() - began:.0f} s"
    names = ", ".join(sorted({test.partition("::test_")[2] for test in control.tests}))
    print(f"{control.promise:4} {control.protection:56} {verdict}, {took}: {names}", flush=True)
    is_well = verdict == "red as it must be"
    if not is_well:
        print(text)
    return is_well


def main() -> int:
    """Run the controls, print a table, and say whether every protection is seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="controls whose protection contains this")
    given = parser.parse_args()
    controls = [c for c in CONTROLS if given.only in f"{c.promise} {c.protection}"]
    if not controls:  # pytest without a test named would run them all
        sys.exit(f"no control's promise and protection contain {given.only!r}")
    began = time.monotonic()
    with Server(18) as server:
        tests = sorted({test for control in controls for test in control.tests})
        well = [is_green(server.url(), tests)]
        print(f"{len(tests)} tests with every protection: {'green' if well[0] else 'NOT GREEN'}")
        well += [is_red(server.url(), control) for control in controls]
    print(f"{len(controls)} controls in {time.monotonic() - began:.0f} s, {well.count(False)} bad")
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
