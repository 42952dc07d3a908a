"""Values of settings as a user writes them: durations, and how many tenants at once. Pure."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
AUTO: Final = "auto"
UNIT_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def parse_duration(value: object) -> float:
    """Read "500ms", "2s", "5min" or "1h" (or a number of seconds) as seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    found = DURATION.fullmatch(str(value).strip())
    if not found:
        raise ValueError("write a duration like 500ms, 2s, 5min or 1h")
    return float(found[1]) * UNIT_S[found[2]]


def parse_parallel(value: object) -> int | str:
    """Read "auto", or a number of at least 1.

    Raises:
        ValueError: it is neither.
    """
    text = str(value).strip()
    if text == AUTO:
        return AUTO
    if isinstance(value, bool) or not (text.isdecimal() and int(text) > 0):
        raise ValueError(
            "write auto, or the number of tenants at once as an integer greater than 0"
        )
    return int(text)


Duration = Annotated[float, BeforeValidator(parse_duration)]
Timeout = Annotated[Duration, Field(ge=0.001)]  # to PostgreSQL, 0 means no limit
Parallel = Annotated[int | Literal["auto"], BeforeValidator(parse_parallel)]
