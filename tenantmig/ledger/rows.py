"""Rows of the ledger, read with care: what is wrong in one is that row's problem. Pure.

A row comes as the JSON that PostgreSQL writes of it, so that a value of another type, a column that
is not there, or an infinite time does not keep the other rows from being read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from tenantmig.errors import LedgerRowError

E = TypeVar("E", bound=StrEnum)
LONGEST = 60  # characters of a wrong value that are told
LARGEST = 2**31 - 2  # of a number that is counted on


class Row:
    """One row; each question is refused with a sentence that names the row, column and value.

    Raises:
        LedgerRowError: by each question, if the answer cannot be used.
    """

    def __init__(self, text: str, what: str) -> None:
        self.what = what
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:  # a number too long, JSON too deep
            raise LedgerRowError(f"{what} cannot be read: {type(error).__name__}.") from error
        self._values: Mapping[str, Any] = found if isinstance(found, dict) else {}

    def _refuse(self, column: str, why: str) -> LedgerRowError:
        value = self._values.get(column)
        told = "NULL" if value is None else json.dumps(value, ensure_ascii=False)
        told = told if len(told) <= LONGEST else told[:LONGEST] + "..."
        return LedgerRowError(f"{self.what} cannot be used: its {column} is {told}, {why}.")

    def optional_text(self, column: str) -> str | None:
        """A text or None."""
        value = self._values.get(column)
        if value is not None and (not isinstance(value, str) or not value):
            raise self._refuse(column, "which is not a text")
        return value

    def required(self, column: str) -> str:
        """A text that is not empty."""
        value = self.optional_text(column)
        if value is None:
            raise self._refuse(column, "and must be a text")
        return value

    def number(self, column: str) -> int:
        """A count, which may be 0."""
        value = self._values.get(column)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
            raise self._refuse(column, "which is not a count")
        return value

    def optional_id(self, column: str) -> int | None:
        """The number of a run, or None."""
        value = self._values.get(column)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
            raise self._refuse(column, "which is not the number of a run")
        return value

    def seconds(self, column: str) -> float:
        """A duration."""
        value = self._values.get(column)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e12:
            return float(value)
        raise self._refuse(column, "which is not a duration")

    def flag(self, column: str) -> bool:
        """True or false."""
        value = self._values.get(column)
        if not isinstance(value, bool):
            raise self._refuse(column, "which is neither true nor false")
        return value

    def one_of(self, column: str, kind: type[E]) -> E:
        """A word of ours."""
        try:
            return kind(str(self._values.get(column)))
        except ValueError:
            raise self._refuse(column, "which this version of tenantmig does not know") from None

    def optional_one_of(self, column: str, kind: type[E]) -> E | None:
        """A word of ours, or None."""
        return None if self._values.get(column) is None else self.one_of(column, kind)

    def mapping(self, column: str) -> dict[str, Any]:
        """A JSON object."""
        value = self._values.get(column)
        if not isinstance(value, dict):
            raise self._refuse(column, "which is not a JSON object")
        return value

    def transaction(self, column: str) -> str | None:
        """The number of a transaction, as text, or None."""
        value = self.optional_text(column)
        if value is not None and not (value.isascii() and value.isdecimal() and len(value) < 20):
            raise self._refuse(column, "which is not the number of a transaction")
        return value

    def time(self, column: str) -> datetime:
        """A moment, with its time zone."""
        value = self.optional_time(column)
        if value is None:
            raise self._refuse(column, "and must be a time")
        return value

    def optional_time(self, column: str) -> datetime | None:
        """A moment, with its time zone, or None."""
        value = self._values.get(column)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self._refuse(column, "which is not a time") from None
        if found.tzinfo is None:
            raise self._refuse(column, "which has no time zone")
        return found
