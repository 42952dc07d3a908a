"""What is known of a script without running it: irreversible marks and autocommit blocks."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from tenantmig.history.script_source import has_autocommit_block, irreversible_reason


def script(folder: Path, upgrade: str = "pass", downgrade: str = "pass") -> str:
    """Write a script and return its path."""
    bodies = [indent(dedent(body).strip(), "    ") for body in (upgrade, downgrade)]
    file = folder / "r1.py"
    file.write_text(
        "from alembic import op\nimport tenantmig\nfrom tenantmig import irreversible\n"
        f"\n\ndef upgrade():\n{bodies[0]}\n\n\ndef downgrade():\n{bodies[1]}\n",
        encoding="utf-8",
    )
    return str(file)


@pytest.mark.parametrize(
    ("downgrade", "reason"),
    [
        ("irreversible('the column is gone')", "the column is gone"),
        ("irreversible('the column is gone.')", "the column is gone"),
        ("tenantmig.irreversible('gone for good')", "gone for good"),
        ("irreversible()", "its script says so"),
        ("irreversible(WHY)", "its script says so"),
        ("op.drop_table('x')\nirreversible('late')", "late"),
        ('"""Not possible."""\nirreversible("why")', "why"),
        ("raise NotImplementedError", "its downgrade() raises NotImplementedError"),
        ("raise RuntimeError('no way')", "its downgrade() raises RuntimeError('no way')"),
        ("op.drop_table('x')\nraise SystemExit", "its downgrade() raises SystemExit"),
        ("irreversible('größer als 7')", "größer als 7"),
    ],
)
def test_a_downgrade_that_always_refuses(tmp_path: Path, downgrade: str, reason: str) -> None:
    assert irreversible_reason(script(tmp_path, downgrade=downgrade)) == reason


@pytest.mark.parametrize(
    "downgrade",
    [
        "pass",
        "op.drop_table('x')",
        "if op.get_bind().dialect.name != 'postgresql':\n    raise RuntimeError('no')",
        "if True:\n    irreversible('perhaps')",
        "try:\n    op.drop_table('x')\nexcept Exception:\n    raise",
        "for row in ():\n    raise ValueError(row)",
        "return\nraise NotImplementedError",
        "op.drop_table('x')\nreturn None\nirreversible('never reached')",
        "def refuse():\n    raise RuntimeError",
        "irreversible",  # named, not called
        "reversible('no')",
        "op.execute('irreversible')",
    ],
)
def test_a_downgrade_that_does_not_always_refuse(tmp_path: Path, downgrade: str) -> None:
    assert irreversible_reason(script(tmp_path, downgrade=downgrade)) is None


def test_a_mark_in_upgrade_says_nothing_of_the_way_back(tmp_path: Path) -> None:
    assert irreversible_reason(script(tmp_path, upgrade="raise RuntimeError('no')")) is None


def test_a_script_without_downgrade_is_not_marked(tmp_path: Path) -> None:
    file = tmp_path / "r1.py"
    file.write_text("def upgrade():\n    pass\n")
    assert irreversible_reason(str(file)) is None


@pytest.mark.parametrize(
    ("upgrade", "downgrade", "is_found"),
    [
        ("with op.get_context().autocommit_block():\n    op.execute('VACUUM')", "pass", True),
        ("pass", "with op.get_context().autocommit_block():\n    op.execute('VACUUM')", True),
        (
            "ctx = op.get_context()\nif True:\n    with ctx.autocommit_block():\n        1",
            "pass",
            True,
        ),
        ("op.execute('CREATE TABLE t ()')", "op.execute('DROP TABLE t')", False),
        ("op.execute('-- autocommit_block()')", "pass", False),
        ("# autocommit_block()\npass", "pass", False),
        ("autocommit_block = 1", "pass", False),
    ],
)
def test_an_autocommit_block_is_found_wherever_it_stands(
    tmp_path: Path, upgrade: str, downgrade: str, is_found: bool
) -> None:
    assert has_autocommit_block(script(tmp_path, upgrade, downgrade)) is is_found
