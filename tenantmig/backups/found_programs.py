"""Finding client programs: the first folder whose pg_dump and pg_restore fit the server."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.running_program import Limits, Program
from tenantmig.errors import ClientProgramError
from tenantmig.postgres.embedded import program_folders

PROGRAMS: tuple[Program, ...] = ("pg_dump", "pg_restore")
VERSION = re.compile(r"\) (\d+)")  # "pg_dump (PostgreSQL) 16.14 (Debian …)", "… 19devel"
PROBE_S = 10.0


def find_programs(configured: Path | None, server_version: int) -> ClientPrograms:
    """Return the first programs that are not older than the server (`server_version` as libpq
    gives it, such as 160004): of the setting `client_programs`, else of PATH, else of the embedded
    extra. All three come from one folder, for each reads what another one wrote.

    Raises:
        ClientProgramError: there are none; it says where they were looked for.
    """
    major = server_version // 10000
    looked: list[str] = []
    folders = [configured] if configured else [*_path_folders(), *program_folders()]
    for folder in folders:
        found, problem = _look(folder.absolute(), major)
        if found:
            return found
        if problem:
            looked.append(f"{folder} ({problem})")
    where = "; ".join(looked) or "there is none on PATH"
    raise ClientProgramError(
        f"There is no {', '.join(PROGRAMS)} of PostgreSQL {major} or newer: {where}. Set "
        "client_programs to the folder that holds them, or run: pip install "
        "'tenantmig[embedded]'. Nothing was touched."
    )


def _path_folders() -> list[Path]:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [
        Path(folder)
        for folder in dict.fromkeys(folders)
        if folder and any((Path(folder) / program).is_file() for program in PROGRAMS)
    ]


def _look(folder: Path, oldest: int) -> tuple[ClientPrograms | None, str]:
    majors = []
    for program in PROGRAMS:
        if not os.access(folder / program, os.X_OK) or not (folder / program).is_file():
            return None, f"no {program}"
        try:
            printed = ClientPrograms(folder, 0).run(
                program, "--version", limits=Limits.within(PROBE_S)
            )
        except ClientProgramError as error:
            return None, f"{program} cannot be run: {error.message}"
        found = VERSION.search(printed.decode("utf-8", "replace"))
        if not found:
            return None, f"{program} does not print its version"
        majors.append(int(found[1]))
    if min(majors) < oldest:
        return None, f"version {min(majors)}"
    return ClientPrograms(folder, min(majors)), ""
