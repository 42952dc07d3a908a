"""Alembic's configuration of a lineage, from the ini and the pyproject.toml beside it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from alembic.config import Config

from tenantmig.domain.alembic_ini import PYPROJECT, ini_path, read_ini
from tenantmig.domain.lineage import Lineage
from tenantmig.errors import HistoryError

COMMAND = {"autogenerate": False, "sql": False, "tag": None, "rev_id": None, "message": None,
           "head": "head", "splice": False, "branch_label": None, "quiet": False,
           "raiseerr": False, "name": "alembic", "verbose": False}  # fmt: skip
"""What env.py may read of `config.cmd_opts`, as Alembic's own commands give it."""


def alembic_config(
    ini: Path,
    lineage: Lineage = Lineage.TENANT,
    x: Sequence[str] = (),
    shared_section: str = Lineage.SHARED.section,
) -> Config:
    """Return Alembic's configuration of a lineage, as if `-x` had been given for each of `x`.

    As for Alembic itself, `[tool.alembic]` of the pyproject.toml beside the ini says what the ini
    does not; of the shared lineage everything stands in its section.

    Raises:
        SettingsError: the ini is missing or malformed.
    """
    parser = read_ini(ini)
    ini = ini_path(ini)
    is_shared = lineage is Lineage.SHARED
    toml = ini.with_name(PYPROJECT)
    config = Config(
        str(ini),
        toml_file=str(toml) if toml.is_file() and not is_shared else None,
        ini_section=shared_section if is_shared else lineage.section,
        cmd_opts=argparse.Namespace(**COMMAND, x=list(x), config=[str(ini)]),
    )
    if not ini.is_file():
        config.file_config = parser  # it has the section
    return config


def refuse_shadow(config: Config) -> None:
    """Refuse a scripts folder that `import alembic` would find in the library's place."""
    folder = Path(str(config.get_alembic_option("script_location", "")))
    roots = config.get_prepend_sys_paths_list() or []
    is_found = str(folder.parent) in roots or folder.parent.resolve() == Path.cwd()
    if folder.name == "alembic" and is_found and (folder / "__init__.py").exists():
        raise HistoryError(
            f"{folder / '__init__.py'} makes the folder a package that hides the alembic "
            "library; remove it."
        )
