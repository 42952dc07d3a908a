"""Scaffold: the files `init` writes into a project, the same that this repository uses."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tenantmig.errors import ScaffoldError

FILES = {
    "alembic.ini": "alembic.ini",
    "tenantmig.toml": "tenantmig.toml",
    "alembic/env.py": "env.py.txt",
    "alembic/script.py.mako": "script.py.mako",
    "alembic/versions/.gitkeep": None,
}


def write_scaffold(folder: Path) -> list[Path]:
    """Write Alembic's environment for tenants into a project and return the files written.

    Raises:
        ScaffoldError: one of the files exists already, or alembic/ is a Python package; nothing
            was written.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise ScaffoldError(
            f"{folder / there[0]} exists already; nothing was written. Move it away, or compare"
            " it with docs/reference.md."
        )
    if (folder / "alembic" / "__init__.py").exists():
        raise ScaffoldError(
            f"{folder / 'alembic' / '__init__.py'} makes the folder a package that shadows the"
            " alembic library; remove it. Nothing was written."
        )
    written = []
    for name, template in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "" if template is None else _template(template)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _template(name: str) -> str:
    return (files("tenantmig") / "templates" / name).read_text(encoding="utf-8")
