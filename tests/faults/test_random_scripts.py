"""No tenant ever gets another result than plain Alembic gives it alone in a process.

Random scripts by the default engine and by plain Alembic; 100 scripts a test. `make test-all`
runs a sample, `make random-scripts` 2,000 of them. A failing test prints the
smallest history that still differs; once its cause is fixed, it is kept in `kept_scripts.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kept_scripts import KEPT
from tests.faults.random_scripts import SCRIPTS, generate
from tests.faults.script_oracle import ScriptOracle, prepare
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.server import AnyServer

SHARE = 100  # scripts of one test
SAMPLE = 100
WANTED = int(os.environ.get("RANDOM_SCRIPTS", SAMPLE))
FIRST_SEED = int(os.environ.get("RANDOM_SEED", "0"))
LEAST_REACHED = 0.75  # of all goals: a script that fails hides what comes after it


@pytest.fixture(scope="module")
def template(server: AnyServer) -> Iterator[Database]:
    """The tenants before any script."""
    with fresh_database(server) as database:
        prepare(database)
        yield database


@pytest.fixture
def oracle(server: AnyServer, template: Database, tmp_path: Path) -> ScriptOracle:
    return ScriptOracle(server, template, tmp_path)


SHARES = [
    pytest.param(n, marks=pytest.mark.slow if n else (), id=str(n))
    for n in range(max(1, WANTED // SHARE))
]
"""The first is part of `make test`, and what the negative controls run."""


@pytest.mark.parametrize("share", SHARES)
def test_random_scripts_are_as_plain_alembic(share: int, oracle: ScriptOracle) -> None:
    engines: Counter[str] = Counter()
    goals = reached = 0
    first = FIRST_SEED + share * SHARE // SCRIPTS
    for seed in range(first, first + SHARE // SCRIPTS):
        example = generate(seed)
        verdict = oracle.compare(example.history)
        if verdict.differences:
            less, shown = oracle.reduce(example, verdict)
            said = "\n".join(shown.differences)
            pytest.fail(f"differs from plain Alembic:\n{said}\n{shown.said}\n{less.text}", False)
        engines += verdict.engines
        goals += len(example.history.goals)
        reached += verdict.reached
    assert engines["replay"] > 0
    assert engines["alembic"] > 0
    assert reached / goals > LEAST_REACHED


@pytest.mark.parametrize("name", KEPT)
def test_kept_scripts_are_as_plain_alembic(name: str, oracle: ScriptOracle) -> None:
    verdict = oracle.compare(KEPT[name])
    assert not verdict.differences, verdict.said
    assert verdict.reached == len(KEPT[name].goals), verdict.said
