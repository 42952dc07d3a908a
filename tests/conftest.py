"""Lists the fixture plugins, and nothing else."""

pytest_plugins = [
    "tests.fixtures.server",
    "tests.fixtures.database",
    "tests.fixtures.pooler",
]
