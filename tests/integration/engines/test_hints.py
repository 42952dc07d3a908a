"""Where a missing name is: said by every command that runs the history, not only by a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE

HINT = (
    '"vector" is in the schema "extensions", of the extension "vector", which is not on the search'
    " path: write the schema before the name, or add it with the setting"
    ' extension_schemas = ["extensions"]'
)
BEHIND = "the shared lineage is behind: run `tenantmig upgrade --lineage shared`"
COMMANDS = {
    "check": ("check",),
    "drift": ("drift",),
    "adopt": ("tenants", "adopt", "bare"),
    "revision": ("revision", "--autogenerate", "-m", "more", "--dry-run"),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_type_of_an_extension_elsewhere(
    tmp_path: Path, database16: Database, words: tuple[str, ...]
) -> None:
    vectors = "r1", "op.execute('CREATE TABLE item (v vector(2))')", "op.drop_table('item')"
    project = Project(tmp_path, database16.url, write_history(tmp_path / "history", vectors))
    database16.execute("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions")
    database16.execute("CREATE SCHEMA bare")
    if words[0] == "drift":
        database16.execute("CREATE TABLE bare.item (v extensions.vector(2))")
        project.run("tenants", "adopt", "bare", "--at", "r1")
    said = project.run(*words, expect=None)
    assert said.code in {2, 3}
    assert HINT in " ".join((said.out + said.err).split())


@pytest.mark.slow
def test_a_table_that_the_shared_lineage_is_yet_to_make(tmp_path: Path, database: Database) -> None:
    database.execute("CREATE SCHEMA core; CREATE SCHEMA bare")
    database.execute("CREATE SCHEMA billing; CREATE TABLE billing.plan ()")  # it is not empty
    country = "s1", "op.create_table('country', sa.Column('code', sa.String(2), primary_key=True))"
    shared = write_history(tmp_path / "shared", country, environment="env_shared.py.txt")
    refers = "r2", "op.execute('ALTER TABLE thing ADD c varchar(2) REFERENCES core.country')"
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", CREATE, refers))
    with project.ini.open("a") as ini:
        ini.write(f"\n[common]\nscript_location = {shared}\npath_separator = os\n")
    project.settings('shared_schema = "core"\nshared_section = "common"')
    for words in (("check",), ("tenants", "adopt", "bare")):
        said = project.run(*words, expect=None)
        assert BEHIND in " ".join((said.out + said.err).split())
    failed = project.run("onboard", "acme", expect=3)
    assert BEHIND in " ".join((failed.out + failed.err).split())
    project.run("upgrade", "--lineage", "shared", "--allow-empty")
    database.execute("DROP TABLE core.country")  # at its head: nothing is behind
    said = project.run("check", expect=None)
    assert "does not exist" in said.out + said.err
    assert "is behind" not in said.out + said.err
