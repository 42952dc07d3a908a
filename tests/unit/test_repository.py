"""Guards over the repository's own files."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "tenantmig"
MODULES = sorted(PACKAGE.rglob("*.py"))
every_module = pytest.mark.parametrize(
    "module", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)


def _calls(module: Path) -> set[str]:
    nodes = ast.walk(ast.parse(module.read_text()))
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def test_alembics_folder_is_no_package() -> None:
    assert (REPOSITORY / "alembic" / "env.py").is_file()
    assert not list((REPOSITORY / "alembic").rglob("__init__.py"))


def test_env_py_is_short() -> None:
    lines = (REPOSITORY / "alembic" / "env.py").read_text().splitlines()
    assert len(lines) <= 60


@every_module
def test_no_module_is_long(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


@every_module
def test_only_the_command_line_prints(module: Path) -> None:
    assert "cli" in module.relative_to(PACKAGE).parts or "print" not in _calls(module)


@pytest.mark.slow
def test_every_sql_file_is_used_and_every_query_has_its_file() -> None:
    files = {f"{path.parts[-3]}/{path.stem}" for path in PACKAGE.glob("*/sql/*.sql")}
    named = {
        node.args[0].value
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in {"query", "text", "_sql"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and re.fullmatch(r"\w+/\w+", str(node.args[0].value))
    }
    assert named == files


def test_the_lowest_versions_are_those_that_are_promised() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    bounds = dict(one.split(">=") for one in project["dependencies"] if ">=" in one)
    locked = {
        name: dict(re.findall(r"^([\w-]+)==([\w.]+) ", text, re.MULTILINE))
        for name in ("lowest", "newest")
        for text in [(REPOSITORY / "requirements" / f"{name}.txt").read_text()]
    }
    for library in ("alembic", "sqlalchemy"):
        lowest = locked["lowest"][library].split(".")
        assert lowest[: len(bounds[library].split("."))] == bounds[library].split(".")
        assert locked["newest"][library] != locked["lowest"][library]
    for path in (REPOSITORY / "requirements").glob("*.txt"):
        assert "index-url" not in path.read_text()
        assert "://" not in path.read_text().replace("https://pip.pypa.io", "")


def test_no_two_files_of_tests_have_one_name() -> None:
    """The folders are no packages, so pytest takes the second file for the first and stops."""
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
