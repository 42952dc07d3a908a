"""The revision ids that completion reads are those that Alembic finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from tenantmig.domain.lineage import Lineage
from tenantmig.history.alembic_config import alembic_config
from tenantmig.history.version_files import read_revision_ids

REPOSITORY = Path(__file__).parents[3]
HERE = "%(here)s"
SCRIPTS = {
    "history/versions/a.py": 'revision = "a1"\ndown_revision = None\n',
    "history/versions/b.py": 'revision: str = "b2"\ndown_revision: str = "a1"\n',
    "more/c.py": '"""revision = "no"\n"""\nrevision = "c3"\ndown_revision = "b2"\n',
    "history/versions/deep/d.py": 'revision = "d4"\ndown_revision = "b2"\n',
    "package/__init__.py": "",
    "package/history/versions/e.py": 'revision = "e5"\ndown_revision = None\n',
}
BOTH = f"{HERE}/history/versions{{}}{HERE}/more"
INIS = {
    "a folder": f"script_location = {HERE}/history",
    "a deep folder": f"script_location = {HERE}/history\nrecursive_version_locations = true",
    "a package": f"script_location = package:history\nprepend_sys_path = {HERE}\n"
    "path_separator = os",
} | {
    f"folders parted by {name}": f"script_location = {HERE}/history\npath_separator = {name}\n"
    f"version_locations = {BOTH.format(separator)}"
    for name, separator in {"os": ":", "space": " ", "newline": "\n    ", ";": ";"}.items()
}


def found_by_alembic(ini: Path, lineage: Lineage = Lineage.TENANT) -> list[str]:
    scripts = ScriptDirectory.from_config(alembic_config(ini, lineage))
    return sorted(script.revision for script in scripts.walk_revisions())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SCRIPTS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", INIS.values(), ids=INIS)
def test_the_ids_are_those_of_alembic(folder: Path, text: str) -> None:
    ini = folder / "alembic.ini"
    ini.write_text(f"[alembic]\n{text}\n")
    ids = read_revision_ids(ini)
    assert ids
    assert ids == found_by_alembic(ini)


def test_pyproject_is_read_where_there_is_no_ini(folder: Path) -> None:
    (folder / "pyproject.toml").write_text(
        '[tool.alembic]\nscript_location = "%(here)s/history"\n'
        'version_locations = ["%(here)s/history/versions", "%(here)s/more"]\n'
    )
    ini = folder / "alembic.ini"
    assert read_revision_ids(ini) == found_by_alembic(ini) == ["a1", "b2", "c3"]


def test_the_shared_lineage_has_a_section_of_its_own(folder: Path) -> None:
    ini = folder / "alembic.ini"
    shared = f"[shared]\nscript_location = {HERE}/package/history\n"
    ini.write_text(f"[alembic]\nscript_location = {HERE}/history\n{shared}")
    ids = read_revision_ids(ini, Lineage.SHARED.section)
    assert ids == found_by_alembic(ini, Lineage.SHARED) == ["e5"]


def test_a_script_that_cannot_be_read_is_left_out(folder: Path) -> None:
    ini = folder / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {HERE}/history\n")
    (folder / "history" / "versions" / "broken.py").write_text("revision = ")
    assert read_revision_ids(ini) == ["a1", "b2"]


def test_the_ids_of_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    ini = REPOSITORY / "alembic.ini"
    assert read_revision_ids(ini) == found_by_alembic(ini)
