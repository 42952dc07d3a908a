"""`revision` without autogenerate: Alembic's own script, and no database."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.fixtures.command import REPOSITORY, Project
from tests.fixtures.history import write_history, write_revision

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
HOOK = """
[post_write_hooks]
hooks = mark
mark.type = exec
mark.executable = {script}
mark.options = REVISION_SCRIPT_FILENAME
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    history = write_history(tmp_path / "history", ("r1", "pass"), ("r2", "pass"))
    shutil.copy(REPOSITORY / "tenantmig" / "history" / "templates" / "script.py.mako", history)
    return Project(tmp_path, NOWHERE, history)


def scripts(project: Project) -> set[str]:
    return {path.name for path in (project.script_location / "versions").glob("*.py")}


def test_a_new_script_asks_no_database_and_runs_the_hooks(project: Project) -> None:
    script = project.folder / "mark.sh"
    script.write_text('#!/bin/sh\necho marking\necho "# marked" >> "$1"\n')
    script.chmod(0o755)
    ini = project.ini.read_text()
    project.ini.write_text(ini + HOOK.format(script=script))
    out = project.run("revision", "-m", "Add a thing", "--rev-id", "r3").out
    path = project.script_location / "versions" / "r3_add_a_thing.py"
    assert out == f"wrote {path}\n"
    text = path.read_text()
    assert '"""Add a thing' in text
    assert "down_revision = 'r2'" in text
    assert text.endswith("# marked\n")
    result = project.run("revision", "-m", "more", "--json")  # the hook prints, but not there
    (made,) = result.json["scripts"]
    assert "marking" in result.err
    assert re.search(r"down_revision = 'r3'", Path(made["path"]).read_text())


def test_a_dry_run_prints_it_and_writes_nothing(project: Project) -> None:
    before = scripts(project)
    hook = project.folder / "mark.sh"
    hook.write_text(f"#!/bin/sh\ntouch {project.folder}/started\n")
    hook.chmod(0o755)
    project.ini.write_text(project.ini.read_text() + HOOK.format(script=hook))
    result = project.run("revision", "-m", "look", "--dry-run", "--rev-id", "r3")
    assert "revision = 'r3'" in result.out
    (made,) = project.run("revision", "-m", "look", "--dry-run", "--json").json["scripts"]
    assert made["path"] is None
    assert "down_revision = 'r2'" in made["script"]
    assert scripts(project) == before
    assert not (project.folder / "started").exists()
    project.run("revision", "-m", "look")
    assert (project.folder / "started").exists()


def test_where_it_goes_can_be_said(project: Project) -> None:
    label = ("--splice", "--branch-label", "side")
    project.run("revision", "-m", "side", "--head", "r1", "--rev-id", "s2", *label)
    text = (project.script_location / "versions" / "s2_side.py").read_text()
    assert "down_revision = 'r1'" in text
    assert "branch_labels = ('side',)" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--head", "r9"], "'r9' does not name exactly one revision"),
        (["--head", "r1"], "Revision r1 is not a head"),
        (["--rev-id", "r2"], "'r2' already exists"),
        (["--rev-id", "r-3"], "cannot be written"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    project: Project, options: list[str], sentence: str
) -> None:
    before = scripts(project)
    assert sentence in project.refuse("revision", "-m", "new", *options)
    assert scripts(project) == before


def test_several_heads_want_a_choice(project: Project) -> None:
    write_revision(project.script_location, "s2", "r1", "pass")
    assert "2 heads (r2, s2)" in project.refuse("revision", "-m", "new")
    project.run("revision", "-m", "new", "--head", "s2", "--rev-id", "s3")
    text = (project.script_location / "versions" / "s3_new.py").read_text()
    assert "down_revision = 's2'" in text


def test_a_hook_that_fails_leaves_no_script(project: Project) -> None:
    before, ini = scripts(project), project.ini.read_text()
    project.ini.write_text(ini + HOOK.format(script="/nowhere/hook"))
    assert "cannot be written" in project.run("revision", "-m", "more", expect=2).err
    assert scripts(project) == before
