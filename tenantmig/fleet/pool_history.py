"""What a member of the pool was made from: a hash of the scripts and settings, and what forbids it.

Reads files and the proofs of the history; asks no database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tenantmig.domain.plan import RunKind, show_heads
from tenantmig.domain.tenant import POOL
from tenantmig.fleet.driver import Driver
from tenantmig.ledger.pool_members import PoolRow


def history_mark(driver: Driver, files: Mapping[str, str]) -> str:
    """Return a hash of all that makes a tenant what it is, as far as files and settings tell."""
    settings = driver.settings
    root = settings.config.absolute().parent
    scripts = Path(driver.history.script.dir)
    known = {
        "scripts": _hashes(sorted(scripts.rglob("*.py")), scripts),
        "ini": _hash(settings.config),
        "files": {name: _hash(root / name) for name in files},
        "settings": [
            settings.version_table,
            settings.version_length,
            settings.extension_schemas,
            settings.shared_schema,
            settings.onboard_owner,
            settings.run_as,
            settings.row_security,
            settings.x,
            settings.bind_parameters,
            settings.pure_modules,
        ],
    }
    said = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def other_files(driver: Driver) -> dict[str, str]:
    """Return the project's own modules that scripts and env.py use, each with its hash."""
    root = driver.settings.config.absolute().parent
    files = sorted(driver.history.proofs.own_files)
    return {str(_relative(file, root)): _hash(file) for file in files}


def _relative(file: Path, root: Path) -> Path:
    try:
        return file.absolute().relative_to(root)
    except ValueError:
        return file.absolute()


def _hashes(files: Sequence[Path], root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): _hash(file) for file in files}


def _hash(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def why_off(driver: Driver) -> str | None:
    """Say which setting or script keeps a schema from being created before its tenant is known."""
    settings, history = driver.settings, driver.history
    if settings.birth:
        return "the setting `birth` creates tenants, and what its function does is not known"
    if "{" in settings.onboard_owner:
        return "the owner of a new schema depends on the tenant (`onboard_owner`)"
    if len(history.heads) != 1:
        return "the history has no revision, or several heads"
    path = history.path(RunKind.UPGRADE, (), history.heads[0])
    return history.proofs.why_by_tenant(RunKind.UPGRADE, path.revisions)


def problem_of(driver: Driver, row: PoolRow) -> str | None:
    """Say why a member is not given out, as far as its row tells."""
    wanted = show_heads(driver.history.heads)
    if not row.schema.startswith(POOL):
        return "the ledger names a schema that is none of the pool's"
    if not row.is_there:
        return "the schema does not exist"
    if row.revision != wanted:
        return f"it is at {row.revision}, not at {wanted}"
    if row.history != history_mark(driver, row.files):
        return "a script, a module or a setting changed since it was created"
    return None if row.is_untouched else "somebody changed it since it was finished"
