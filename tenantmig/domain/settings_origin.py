"""Where settings come from: the files beside the Alembic ini, and the variables. Says which of them
is at fault. The environment is handed in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tenantmig.errors import SettingsError

FILES: Final = ("tenantmig.toml", "pyproject.toml")
PREFIX: Final = "TENANTMIG_"
NOT_OURS: Final = re.compile(
    r"TEST_.*"  # of tenantmig's own tests
    r"|(?:.*_)?SERVICE_(?:HOST|PORT(?:_.*)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)?"
)
"""What else begins like our variables: Kubernetes makes `TENANTMIG_PORT` and the like for a service
that is called tenantmig, and `TENANTMIG_WEB_PORT` for one that is called tenantmig-web."""
OF_SERVICE: Final = re.compile(r"(.+_)PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_.*)?)?")


def read_files(folder: Path) -> dict[str, Any]:
    """Read the settings in the files of a folder; the first of `FILES` wins.

    Raises:
        SettingsError: a file cannot be read, or holds no table of settings.
    """
    values: dict[str, Any] = {}
    for name in reversed(FILES):
        values |= _read_file(folder / name)
    return values


def refuse_unknown_variables(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a `TENANTMIG_*` variable that sets nothing: it is a misspelt one.

    Raises:
        SettingsError: with the nearest name. The value is not shown.
    """
    names = sorted(names)
    for name in names:
        key = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or key.lower() in known or NOT_OURS.fullmatch(key):
            continue
        service = OF_SERVICE.fullmatch(name.upper())
        if service and f"{service[1]}SERVICE_HOST" in names:
            continue
        near = nearest(key.lower(), known)
        raise SettingsError(
            f"The variable {name} does not name a setting. Did you mean "
            f"{PREFIX}{near.upper()}? Correct its name, or remove it."
        )


def nearest(key: str, known: Collection[str]) -> str:
    """Return the setting whose name is most like `key`."""
    within = [name for name in known if set(key.split("_")) & set(name.split("_"))]
    close = get_close_matches(key, known, 1, 0.75)
    return (close or get_close_matches(key, within or known, 1, 0.0))[0]


def explain(
    error: ValidationError,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    known: Collection[str],
) -> str:
    """Say which setting cannot be used, where it stands and why, without its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    key = str(first["loc"][0]) if first["loc"] else "settings"
    reason = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = f"there is no such setting; did you mean `{nearest(key, known)}`"
        return f"The setting `{key}` ({_origin(key, flags, environment)}) cannot be used: {reason}?"
    return f"The setting `{key}` ({_origin(key, flags, environment)}) cannot be used: {reason}."


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if path.name == "pyproject.toml":
        table = table.get("tool", {}).get("tenantmig", {})
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: `tool.tenantmig` must be a table of settings.")
    if "config" in table:
        raise SettingsError(f"{path}: `config` cannot be set in a file; use --config.")
    for key in ("source_file", "client_programs"):
        if table.get(key):
            table[key] = path.parent / str(table[key])
    return table


def _origin(key: str, flags: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Say which flag, variable or file gave a setting."""
    variables = {name.upper(): value for name, value in environment.items()}
    if key in flags:
        return "--" + key.replace("_", "-")
    if f"{PREFIX}{key.upper()}" in variables:
        return f"{PREFIX}{key.upper()}"
    config = flags.get("config") or variables.get(f"{PREFIX}CONFIG", "alembic.ini")
    folder = Path(config).absolute().parent
    paths = [folder / name for name in FILES]
    return next((str(path) for path in paths if key in _read_file(path)), "default")
