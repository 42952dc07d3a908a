"""Lists the fixture plugins; each lives in tests/fixtures/, one file a concern."""

pytest_plugins = [
    "tests.fixtures.speeds",
    "tests.fixtures.server",
    "tests.fixtures.database",
    "tests.fixtures.pooler",
    "tests.fixtures.command",
    "tests.fixtures.published",
    "tests.fixtures.goldens",
    "tests.fixtures.promises",
    "tests.fixtures.faults",
    "tests.fixtures.clerks",
    "tests.fixtures.rollouts",
    "tests.fixtures.in_process",
    "tests.fixtures.grants",
]
