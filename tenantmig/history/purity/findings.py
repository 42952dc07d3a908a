"""Findings: what is against a proof, collected along the way. Data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tenantmig.history.purity.values import Values


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Why a function is not proved pure, or not to be replayed: the line and what stands there."""

    line: int
    text: str
    file: str = ""


class Enough(Exception):  # noqa: N818  no error
    """The first finding decides; nothing more is looked at."""


@dataclass(slots=True)
class Findings:
    """What was found in one proof.

    `impure`: it may depend on what the process did before, or leave something there. `by_tenant`:
    it may ask who the tenant is. `by_moment`: pure, and still not the same for everybody (a clock,
    a COMMIT of its own).
    """

    impure: list[Finding] = field(default_factory=list)
    by_tenant: list[Finding] = field(default_factory=list)
    by_moment: list[Finding] = field(default_factory=list)
    loads: list[Finding] = field(default_factory=list)
    """In env.py: modules whose import does more than define things. It is done once."""
    formats_tenant: bool = False
    followed: dict[tuple[Any, ...], Values] = field(default_factory=dict)
    """What functions of the project gave when they were called with such values."""
    is_whole: bool = False
    """Look on after what is impure."""

    def add_impure(self, found: Finding) -> None:
        """Note why something is not proved.

        Raises:
            Enough: no more is asked.
        """
        if found not in self.impure:
            self.impure.append(found)
        if not self.is_whole:
            raise Enough
