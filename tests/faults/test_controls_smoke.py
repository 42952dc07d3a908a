"""`make controls` tells a protection that is missed from one that is not: one control, tried."""

from __future__ import annotations

import pytest

from tests.faults.controls import is_green, is_red
from tests.faults.protections import CONTROLS, PATHS, Control

QUICK = next(c for c in CONTROLS if all(test.startswith(PATHS) for test in c.tests))
NOTHING = tuple(patch._replace(new=patch.old) for patch in QUICK.patches)


def test_with_the_protection_the_tests_are_green() -> None:
    assert is_green("", QUICK.tests)


@pytest.mark.parametrize(
    ("control", "verdict"),
    [
        (QUICK, "red as it must be"),
        (QUICK._replace(patches=NOTHING), "STILL GREEN"),
        (QUICK._replace(sign="words that no test says"), "RED FOR ANOTHER REASON"),
    ],
    ids=["taken away", "left there", "another reason"],
)
def test_without_it_they_must_be_red_and_say_why(
    control: Control, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_red("", control) is (control is QUICK)
    assert verdict in capsys.readouterr().out
