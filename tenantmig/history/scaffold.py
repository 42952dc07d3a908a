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


SHARED_FILES = {
    "alembic_shared/env.py": "env_shared.py.txt",
    "alembic_shared/script.py.mako": "script.py.mako",
    "alembic_shared/versions/.gitkeep": None,
}
SHARED_SECTION = """
# The tables that all tenants share: `alembic -n shared ...`, and first in `tenantmig upgrade`.
[shared]
script_location = %(here)s/alembic_shared
prepend_sys_path = %(here)s
path_separator = os
"""


def scaffold_files(*, is_shared: bool = False) -> dict[str, str]:
    """Return the text of each file by its name; `is_shared` adds the shared lineage."""
    names = FILES | SHARED_FILES if is_shared else FILES
    texts = {name: _template(template) if template else "" for name, template in names.items()}
    if is_shared:
        texts["alembic.ini"] += SHARED_SECTION
    return texts


def write_scaffold(folder: Path, *, is_shared: bool = False) -> list[Path]:
    """Write Alembic's environment for tenants into a project and return the files written.

    Raises:
        ScaffoldError: one of the files exists already, or alembic/ is a Python package; nothing
            was written.
    """
    texts = scaffold_files(is_shared=is_shared)
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise ScaffoldError(
            f"{folder / there[0]} already exists; nothing was written. Move it away, or compare"
            " it with docs/reference/settings.md (What env.py must do)."
        )
    if (folder / "alembic" / "__init__.py").exists():
        raise ScaffoldError(
            f"{folder / 'alembic' / '__init__.py'} makes the folder a package that hides "
            "the alembic library; remove it. Nothing was written."
        )
    written = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _template(name: str) -> str:
    return (files("tenantmig") / "history" / "templates" / name).read_text(encoding="utf-8")
