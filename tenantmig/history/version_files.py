"""The revision ids of a history, read from its files: imports no Alembic and runs no script.

For shell completion, which has no time for more. What is broken or unusual is left out.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from tenantmig.domain.alembic_ini import alembic_table, import_roots, ini_path, read_ini
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.python_source import parse_source

SEPARATORS = {"os": os.pathsep, "space": None, "newline": "\n", ":": ":", ";": ";"}
"""What `path_separator` of the ini may be; None is any blank."""
TRUE = {"true", "yes", "on", "1"}


def read_revision_ids(config: Path, section: str = Lineage.TENANT.section) -> list[str]:
    """Return the ids of all revisions in a section's history, in order.

    Raises:
        SettingsError: the ini is missing or malformed.
    """
    given = _options(config, section)
    roots = import_roots(config)
    folders = [_folder(name, roots) for name in _locations(given)]
    is_deep = str(given.get("recursive_version_locations", "")).lower() in TRUE
    scripts = {path for folder in folders for path in folder.glob("**/*.py" if is_deep else "*.py")}
    return sorted(filter(None, map(_revision_id, scripts)))


def _options(config: Path, section: str) -> dict[str, Any]:
    """Return a section of the ini; what it does not say, `[tool.alembic]` beside it does."""
    parser, ini = read_ini(config), ini_path(config)
    given = dict(parser.items(section)) if parser.has_section(section) else {}
    if section != Lineage.TENANT.section:
        return given
    here = str(ini.absolute().parent)
    table = alembic_table(ini.with_name("pyproject.toml"))
    return {key: _put_here(value, here) for key, value in table.items()} | given


def _put_here(value: Any, here: str) -> Any:
    if isinstance(value, list):
        return [_put_here(one, here) for one in value]
    return value.replace("%(here)s", here) if isinstance(value, str) else value


def _locations(given: dict[str, Any]) -> list[str]:
    listed = given.get("version_locations")
    if not listed:
        return [f"{given['script_location']}/versions"]
    if isinstance(listed, list):
        return [str(one) for one in listed]
    separator = given.get("path_separator") or given.get("version_path_separator")
    if separator is None:
        return re.split(r"[, ]+", listed.strip())
    return [part.strip() for part in listed.split(SEPARATORS[separator]) if part.strip()]


def _folder(name: str, roots: list[str]) -> Path:
    """Return a folder that is written as a path, or as `package:folder`."""
    package, colon, inside = name.partition(":")
    if not colon or Path(name).is_absolute():
        return Path(name)
    sys.path[:0] = roots
    return Path(str(files(package))) / inside.replace(":", "/")


def _revision_id(path: Path) -> str | None:
    """Return what a script says its `revision` is."""
    try:
        body = parse_source(str(path)).body
    except (SyntaxError, UnicodeDecodeError, OSError):
        return None
    for node in body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="revision")], value=ast.Constant(str() as found))
                | ast.AnnAssign(target=ast.Name(id="revision"), value=ast.Constant(str() as found))
            ):
                return found
    return None
