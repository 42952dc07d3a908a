"""How many revisions of published histories are proved pure: as the document says."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from tenantmig.history.purity import Purity
from tests.fixtures.command import REPOSITORY
from tests.fixtures.published import CACHE, PublishedHistory

pytestmark = pytest.mark.timeout(3600)  # the first run also fetches the wheels

HISTORIES = {
    "Langflow": ("langflow_base", "langflow/alembic/versions"),
    "Optuna": ("optuna", "optuna/storages/_rdb/alembic/versions"),
    "MLflow (tracking)": ("mlflow", "mlflow/store/db_migrations/versions"),
    "MLflow's basic-auth app": ("mlflow", "mlflow/server/auth/db/migrations/versions"),
    "JupyterHub": ("jupyterhub", "jupyterhub/alembic/versions"),
    "Dagster": ("dagster", "dagster/_core/storage/alembic/versions"),
}
LEAST = 0.6
"""With fewer pure revisions the rules are too coarse."""


def told() -> dict[str, tuple[int, int]]:
    """What the table of the document says: revisions, and how many of them are pure."""
    text = (REPOSITORY / "docs" / "why" / "published-histories.md").read_text()
    section = text.partition("## How many revisions are pure")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|", section, re.MULTILINE)
    return {name: (int(count), int(pure)) for name, count, pure in rows}


@pytest.mark.slow
@pytest.mark.parametrize("name", HISTORIES)
def test_share_of_pure_revisions(
    name: str, published: dict[str, PublishedHistory], tmp_path: Path
) -> None:
    """Read from the wheels, never run: the whole application lies beside its scripts."""
    assert published
    distribution, versions = HISTORIES[name]
    (wheel,) = (CACHE / "wheels").glob(f"{distribution}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [n for n in archive.namelist() if n.endswith(".py")])
    scripts = sorted(
        file for file in (tmp_path / versions).glob("*.py") if file.name != "__init__.py"
    )
    purity = Purity([str(tmp_path)])
    impure = [file.name for file in scripts if purity.prove(str(file), "upgrade").impure]
    pure = len(scripts) - len(impure)
    assert pure / len(scripts) >= LEAST, impure
    assert told()[name] == (len(scripts), pure), impure
