"""Each control still takes away what it says: its text stands in the product exactly once."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.faults.protections import CONTROLS, Control
from tests.fixtures.command import REPOSITORY


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.protection)
def test_what_a_control_takes_away_is_there(control: Control) -> None:
    for patch in control.patches:
        text = (REPOSITORY / "tenantmig" / patch.file).read_text()
        assert text.count(patch.old) == 1, f"{patch.file}: {patch.old}"
    for test in control.tests:
        file, _, name = test.partition("::")
        function = re.escape(name.partition("[")[0])
        assert re.search(rf"^def {function}\(", (REPOSITORY / file).read_text(), re.MULTILINE), test


PAGE = (REPOSITORY / "docs" / "why" / "reliability.md").read_text()


def test_the_page_counts_the_controls() -> None:
    section = PAGE.partition("## Negative controls")[2].partition("\n#")[0]
    told = {promise: int(number) for promise, number in re.findall(r"(P\d+) \D(\d+)", section)}
    assert told == Counter(control.promise for control in CONTROLS)
    assert f"{len(CONTROLS)} controls" in section


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:(?:unit|integration)/\w+/)?test_\w+)`", PAGE))
    assert len(named) > 20
    for name in named:
        folder = "tests" if "/" in name else "tests/faults"
        assert (REPOSITORY / folder / f"{name}.py").is_file(), name
