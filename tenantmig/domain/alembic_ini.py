"""The Alembic ini, read as Alembic reads it, with `[tool.alembic]` of the pyproject.toml beside it.

Errors show no value of the file: it may be a password.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from tenantmig.domain.ini_error import say_ini_error
from tenantmig.errors import SettingsError

PYPROJECT: Final = "pyproject.toml"


def ini_path(path: Path) -> Path:
    """Return the ini that goes with a path, which may be that of the pyproject.toml beside it."""
    return path.with_name("alembic.ini") if path.name == PYPROJECT else path


def read_ini(path: Path) -> configparser.ConfigParser:
    """Read an Alembic ini as Alembic does, `%(here)s` included.

    Raises:
        SettingsError: the file is missing or malformed.
    """
    path = ini_path(path)
    table = alembic_table(path.with_name(PYPROJECT))
    if not path.is_file() and not (path.name == "alembic.ini" and "script_location" in table):
        raise SettingsError(
            f"There is no {path}. Name the Alembic ini with --config, or write a new one "
            "with `tenantmig init`."
        )
    here = str(path.absolute().parent).replace("%", "%%")
    parser = configparser.ConfigParser({"here": here})
    reason = ""
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        reason = say_ini_error(error)  # what was raised quotes lines of the file
    if reason:
        raise SettingsError(f"{path} cannot be read as an Alembic ini: {reason}")
    if "script_location" not in table and not read_option(parser, path, "script_location"):
        raise SettingsError(
            f"{path} cannot be read as an Alembic ini: [alembic] has no script_location."
        )
    return parser


def read_option(parser: configparser.ConfigParser, path: Path, option: str) -> str:
    """Return an option of the section [alembic], or "" where it is not.

    Raises:
        SettingsError: its value cannot be interpolated; the value is not shown.
    """
    reason = ""
    try:
        return parser.get("alembic", option, fallback="")
    except configparser.InterpolationError as error:
        reason = say_ini_error(error)
    raise SettingsError(f"{path}: {reason}")


def import_roots(config: Path) -> list[str]:
    """Return where a module of the project is looked for first: as for Alembic, and beside the ini.

    Raises:
        SettingsError: the ini is missing or malformed.
    """
    here = str(config.absolute().parent)
    listed = read_option(read_ini(config), config, "prepend_sys_path")
    roots = [part for part in re.split(r"[\n:; ,]+", listed) if part]
    if not roots:
        given = alembic_table(config.with_name(PYPROJECT)).get("prepend_sys_path", [])
        roots = [str(part) for part in ([given] if isinstance(given, str) else given)]
    return [*(root.replace("%(here)s", here) for root in roots), here]


def alembic_table(path: Path) -> dict[str, Any]:
    """Return `[tool.alembic]` of a pyproject.toml."""
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("alembic", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    return table if isinstance(table, dict) else {}
