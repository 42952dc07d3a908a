"""Histories that once came out otherwise than by plain Alembic; the random scripts found them."""

from __future__ import annotations

from tests.faults.random_scripts import History

KEPT: dict[str, History] = {}
