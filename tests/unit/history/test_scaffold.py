"""What `init` writes is what this repository uses, and never in place of something."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tenantmig.domain.alembic_ini import read_ini
from tenantmig.domain.lineage import Lineage
from tenantmig.errors import ScaffoldError
from tenantmig.history.revisions import History
from tenantmig.history.scaffold import FILES, SHARED_FILES, write_scaffold
from tenantmig.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[3]


def _files(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_every_file_is_written_and_returned(tmp_path: Path) -> None:
    written = write_scaffold(tmp_path / "new" / "project")
    assert written == [tmp_path / "new" / "project" / name for name in FILES]
    assert set(_files(tmp_path / "new" / "project")) == set(FILES)


def test_env_py_is_the_repositorys_but_for_the_metadata(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    ours = (REPOSITORY / "alembic" / "env.py").read_text().splitlines()
    theirs = (tmp_path / "alembic" / "env.py").read_text().splitlines()
    metadata = ("Base", "target_metadata =")
    plain = [[ln for ln in lines if not any(m in ln for m in metadata)] for lines in (ours, theirs)]
    assert [len(ours) - len(plain[0]), len(theirs) - len(plain[1])] == [2, 2]
    assert plain[0] == plain[1]


def test_the_shared_lineage_is_written_if_it_is_wanted(tmp_path: Path) -> None:
    written = write_scaffold(tmp_path, is_shared=True)
    assert written == [tmp_path / name for name in FILES | SHARED_FILES]
    assert History(tmp_path / "alembic.ini", Lineage.SHARED).heads == ()
    assert load_settings(config=tmp_path / "alembic.ini").has_shared_lineage
    write_scaffold(tmp_path / "without")
    assert not load_settings(config=tmp_path / "without" / "alembic.ini").has_shared_lineage


def test_the_script_template_is_the_repositorys(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    name = "alembic/script.py.mako"
    assert (tmp_path / name).read_text() == (REPOSITORY / name).read_text()


def test_the_ini_says_the_same_but_for_the_database(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    theirs = dict(read_ini(tmp_path / "alembic.ini").items("alembic", raw=True))
    ours = dict(read_ini(REPOSITORY / "alembic.ini").items("alembic", raw=True))
    assert theirs.pop("sqlalchemy.url").startswith("postgresql://")
    assert ours.pop("sqlalchemy.url").startswith("embedded://")
    theirs.pop("here")
    ours.pop("here")
    assert theirs == ours


def test_the_project_can_be_used_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENANTMIG_DATABASE_URL", raising=False)
    write_scaffold(tmp_path)
    ini = tmp_path / "alembic.ini"
    assert History(ini).heads == ()
    assert load_settings(config=ini).url.database == "app"


def test_the_settings_it_names_exist_and_their_examples_are_valid(tmp_path: Path) -> None:
    write_scaffold(tmp_path)
    lines = (tmp_path / "tenantmig.toml").read_text().splitlines()
    examples = [line.removeprefix("# ") for line in lines if " = " in line]
    named = {key for line in examples for key in tomllib.loads(line)}
    assert len(named) >= 5
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_ever_overwritten(tmp_path: Path, name: str) -> None:
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("mine")
    with pytest.raises(ScaffoldError, match="nothing was written"):
        write_scaffold(tmp_path)
    assert _files(tmp_path) == {name: "mine"}


def test_a_package_that_would_shadow_alembic_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alembic").mkdir()
    (tmp_path / "alembic" / "__init__.py").touch()
    with pytest.raises(ScaffoldError, match="hides the alembic library"):
        write_scaffold(tmp_path)
    assert set(_files(tmp_path)) == {"alembic/__init__.py"}
