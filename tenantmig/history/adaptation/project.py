"""A project that has Alembic already: what its files must change, and which of ours are missing."""

from __future__ import annotations

import ast
import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from alembic.util import CommandError, coerce_resource_to_filename

from tenantmig.domain.alembic_ini import read_ini
from tenantmig.errors import ScaffoldError
from tenantmig.history.adaptation.adapt_env import adapt_env
from tenantmig.history.adaptation.own_sql import behind_the_tenant
from tenantmig.history.adaptation.text import called
from tenantmig.history.adaptation.url import given_url, named_source
from tenantmig.history.alembic_config import alembic_config
from tenantmig.history.scaffold import SHARED_FILES, SHARED_SECTION, scaffold_files

FLASK_INI = """\
# Beside the ini of Flask-Migrate: this one for `tenantmig` and `alembic`, that one for `flask db`.
"""
URL = (
    "env.py no longer passes a URL to Alembic: tenantmig takes it from its settings. Check "
    "that they name the database: {named}."
)
DATABASE = "database_url"
TABLE = "version_table"
BEHIND = "extension_schemas"
NO_ALEMBIC = (
    "{folder} has no Alembic environment: neither {ini}, nor [tool.alembic] in a pyproject.toml,"
    " nor migrations/env.py of Flask-Migrate. `tenantmig init` writes a new one."
)


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What must change in a project: `diff` is for you to read and apply, `missing` are new files.

    `is_fit` says that nothing must change.
    """

    diff: str
    missing: Mapping[Path, str]
    notes: tuple[str, ...] = ()

    @property
    def is_fit(self) -> bool:
        """True when there is nothing to do."""
        return not (self.diff or self.missing or self.notes)


@dataclass(frozen=True, slots=True)
class _Found:
    """The Alembic environment of a project: its scripts, and its ini if that has to be written."""

    folder: Path
    scripts: Path
    ini: Path
    new_ini: str | None = None


def has_alembic(folder: Path, ini: Path) -> bool:
    """True when a project has an Alembic environment."""
    try:
        _find(folder, ini)
    except ScaffoldError:
        return (folder / ini).exists()
    return True


def adapt_project(folder: Path, ini: Path, *, is_shared: bool = False) -> Adaptation:
    """Say what a project's Alembic environment must change to serve tenants; writes nothing.

    Raises:
        ScaffoldError: there is no Alembic environment.
        EnvironmentFileError: its env.py cannot be adapted by itself.
        SettingsError: its ini cannot be read.
    """
    found = _find(folder, ini)
    env = found.scripts / "env.py"
    if not env.is_file():
        raise ScaffoldError(
            f"There is no {env}, and Alembic needs one. Move {found.scripts} away and run "
            "`tenantmig init` for a new environment."
        )
    source = env.read_text(encoding="utf-8")
    adapted = adapt_env(source, str(env))
    diff = _diff(folder, env, source, adapted)
    ours = scaffold_files()
    given = _settings(source, adapted)
    lines = "".join(f"{one}  # {one.why}\n" for one in given) + ("\n" if given else "")
    missing = {folder / "tenantmig.toml": lines + ours["tenantmig.toml"]}
    missing[found.scripts / "script.py.mako"] = ours["alembic/script.py.mako"]
    if found.new_ini is not None:
        missing[found.ini] = found.new_ini
    if is_shared and (found.new_ini is not None or not read_ini(found.ini).has_section("shared")):
        for name in SHARED_FILES:
            missing[folder / name] = scaffold_files(is_shared=True)[name]
        if found.new_ini is not None:
            missing[found.ini] += SHARED_SECTION
        else:
            text = found.ini.read_text(encoding="utf-8")
            diff += _diff(folder, found.ini, text, text.rstrip("\n") + "\n" + SHARED_SECTION)
    new = {path: text for path, text in missing.items() if not path.exists()}
    notes = [URL.format(named=named)] if (named := _url_left_out(source, adapted)) else []
    notes += _not_set(folder / "tenantmig.toml", given)
    return Adaptation(diff, new, tuple(notes))


def write_missing(adaptation: Adaptation) -> list[Path]:
    """Write the files that are missing, and return them."""
    for path, text in adaptation.missing.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(adaptation.missing)


def _find(folder: Path, ini: Path) -> _Found:
    path = folder / ini
    flask = folder / "migrations" / "alembic.ini"
    toml = path.with_name("pyproject.toml")
    if not path.exists() and not (toml.is_file() and "[tool.alembic]" in toml.read_text()):
        if (folder / "migrations" / "env.py").is_file() and flask.is_file():
            return _Found(folder, folder / "migrations", path, _flask_ini(flask))
        raise ScaffoldError(NO_ALEMBIC.format(folder=folder, ini=ini))
    location = alembic_config(path).get_alembic_option("script_location")
    try:
        scripts = Path(coerce_resource_to_filename(str(location)))
    except (CommandError, ImportError) as error:
        raise ScaffoldError(f"{path}: script_location cannot be found: {error}.") from error
    return _Found(folder, folder / scripts, path)


def _flask_ini(flask: Path) -> str:
    """Return an ini for the project's folder, with the logging of Flask-Migrate's own."""
    ours = scaffold_files()["alembic.ini"].replace("%(here)s/alembic", "%(here)s/migrations")
    text = flask.read_text(encoding="utf-8")
    logging = text[text.find("[loggers]") :] if "[loggers]" in text else ""
    return FLASK_INI + ours + ("\n" + logging if logging else "")


class _Setting(NamedTuple):
    """A setting that follows from what env.py does."""

    key: str
    value: str | list[str]
    why: str

    def __str__(self) -> str:
        """Write it as TOML, whose texts are those of JSON."""
        return f"{self.key} = {json.dumps(self.value, ensure_ascii=False)}"

    def stands_in(self, known: Mapping[str, object]) -> bool:
        """True when a settings file says the same; of a list it may say more."""
        given = known.get(self.key)
        if isinstance(self.value, list):
            return isinstance(given, list) and set(self.value) <= {*given}
        return given == self.value


def _settings(source: str, adapted: str) -> list[_Setting]:
    found = []
    url, tree = named_source(source), ast.parse(adapted)
    if url is not None and given_url(tree) is None:
        found.append(_Setting(DATABASE, url, "env.py took it from there"))
    if behind := behind_the_tenant(source):
        found.append(_Setting(BEHIND, behind, "they were on env.py's search_path"))
    for call in called(tree, "configure"):
        named = (_text_of(one.value, tree) for one in call.keywords if one.arg == TABLE)
        found += [_Setting(TABLE, name, "env.py passes it") for name in named if name]
    return [one for at, one in enumerate(found) if one not in found[:at]]


def _text_of(value: ast.expr, tree: ast.Module) -> str | None:
    """Return a text that stands there, or in a name of the module."""
    if isinstance(value, ast.Name):
        given = (one for one in tree.body if isinstance(one, ast.Assign))
        found = [one.value for one in given if value.id in map(ast.unparse, one.targets)]
        value = found[-1] if found else value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return None


def _not_set(file: Path, given: Sequence[_Setting]) -> Iterator[str]:
    """Say which settings a file has not, or has otherwise; of the URL `_url_left_out` speaks."""
    if not file.exists():
        return
    try:
        known = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return  # whoever reads the settings says so
    for one in given:
        if one.key != DATABASE and not one.stands_in(known):
            yield f"Add to {file}: {one} ({one.why})."


def _url_left_out(source: str, adapted: str) -> str | None:
    """Return how the URL is named that env.py gave Alembic, and gives no more."""
    value = given_url(ast.parse(source))
    if value is None or given_url(ast.parse(adapted)) is not None:
        return None
    named = named_source(source)
    if named is not None:
        return f'database_url = "{named}" in tenantmig.toml'
    return (
        "TENANTMIG_DATABASE_URL, or database_url in tenantmig.toml, in place of line"
        f" {value.lineno} of env.py"
    )


def _diff(folder: Path, path: Path, before: str, after: str) -> str:
    name = os.path.relpath(path, folder)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
