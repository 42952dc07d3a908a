"""The histories: this repository's 15 revisions, and a long one that ends in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchmarks.command import REPOSITORY, run

BEFORE, HEAD = "0012", "0015"
NAMELESS = "some_tenant"  # stands for a tenant's name in a text
TABLE_EVERY = 50  # revisions of a generated history between one new table and the next


@dataclass(frozen=True)
class History:
    """An Alembic configuration whose last three revisions are 0013, 0014 and 0015."""

    length: int
    config: Path

    def sql(self, url: str, path: str) -> str:
        """What `alembic upgrade --sql` writes for the tenant `NAMELESS`."""
        tenant = f"tenant={NAMELESS}"
        command = ["alembic", "-c", str(self.config), "-x", tenant, "upgrade", path, "--sql"]
        return run(url, command)


SCRIPTS = REPOSITORY / "alembic"
OWN = History(15, REPOSITORY / "alembic.ini")
COOKBOOK = REPOSITORY / "benchmarks" / "cookbook" / "alembic.ini"  # the same, by another env.py


def generate(folder: Path, length: int) -> History:
    """Write a history of `length` revisions: small ones, then this repository's own."""
    versions = _begin(folder)
    last = "None"
    for number, body in enumerate(_bodies(length - OWN.length), start=1):
        revision = f"g{number:03}"
        text = SCRIPT.substitute(revision=revision, last=last, body=body, number=number)
        (versions / f"{revision}_step.py").write_text(text)
        last = f'"{revision}"'
    for script in _own_scripts():
        text = script.read_text().replace("down_revision = None", f"down_revision = {last}")
        (versions / script.name).write_text(text)
    return History(length, folder / "alembic.ini")


def with_state(folder: Path) -> History:
    """Write this repository's history, of which the last revision keeps something in its module.

    What it does to a tenant is the same.
    """
    versions = _begin(folder)
    *before, last = _own_scripts()
    for script in before:
        shutil.copy(script, versions)
    upgrade = "def upgrade() -> None:\n"
    text = last.read_text()
    if upgrade not in text:
        raise ValueError(f"{last.name} has no upgrade() to change")
    stateful = text.replace(upgrade, f"seen: list[int] = []\n\n\n{upgrade}    seen.append(1)\n")
    (versions / last.name).write_text(stateful)
    return History(OWN.length, folder / "alembic.ini")


def _own_scripts() -> Sequence[Path]:
    return sorted((SCRIPTS / "versions").glob("*.py"))


def _begin(folder: Path) -> Path:
    """Make a folder for a history, with env.py and alembic.ini; return that of its scripts."""
    versions = folder / "versions"
    versions.mkdir(parents=True)
    shutil.copy(SCRIPTS / "env.py", folder / "env.py")
    (folder / "alembic.ini").write_text(INI.substitute(folder=folder, repository=REPOSITORY))
    return versions


def _bodies(count: int) -> Iterator[str]:
    """What a product does to its tables over the years, one small step at a time."""
    table = column = ""
    for number in range(count):
        step = number % TABLE_EVERY
        if step == 0:
            table = f"part_{number // TABLE_EVERY + 1}"
            yield CREATE.format(table=table)
            continue
        body = STEPS[(step - 1) % len(STEPS)]
        if body is STEPS[0]:
            column = f"field_{step}"
        yield body.format(table=table, column=column)


CREATE = """op.create_table(
        "{table}",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
    )"""
STEPS: Sequence[str] = (
    'op.add_column("{table}", sa.Column("{column}", sa.Integer(), server_default="0"))',
    'op.create_index("ix_{table}_{column}", "{table}", ["{column}"])',
    'op.create_check_constraint("ck_{table}_{column}", "{table}", "{column} >= 0")',
    'op.execute("UPDATE {table} SET {column} = 1 WHERE {column} IS NULL")',
    'op.alter_column("{table}", "{column}", nullable=False)',
    'op.alter_column("{table}", "{column}", server_default="1")',
    'op.drop_index("ix_{table}_{column}", "{table}")',
)
INI = Template("""[alembic]
script_location = $folder
prepend_sys_path = $repository
path_separator = os
""")
SCRIPT = Template('''"""Take step $number."""

import sqlalchemy as sa
from alembic import op

revision = "$revision"
down_revision = $last
branch_labels = None
depends_on = None


def upgrade() -> None:
    $body


def downgrade() -> None:
    raise NotImplementedError
''')
