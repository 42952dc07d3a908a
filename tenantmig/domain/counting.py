"""Counts in words: "1 tenant", "2 tenants"; the same everywhere. Pure."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number and what it counts: `counted(1, "tenant")` is "1 tenant"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def joined(parts: list[str]) -> str:
    """Join parts of a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
