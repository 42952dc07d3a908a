"""Each control still takes away what it says: its text stands in the product exactly once."""

from __future__ import annotations

import re

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
