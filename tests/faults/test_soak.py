"""A sample of the soak, of each family of commands; `make soak` is the whole of it."""

from __future__ import annotations

import os

import pytest

from tests.faults.soak import soak

SEED = int(os.environ.get("SOAK_SEED", "0"))
SHARES = {
    "tenants": ("rollout", "backup", "onboard", "offboard"),
    "others": ("shared", "restore", "adopt", "read"),
}


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_a_sample_of_the_soak(share: str) -> None:
    counted, problems = soak(8, 1.5, SHARES[share], SEED)
    print(dict(counted))  # noqa: T201
    assert not problems, "\n".join(problems)
    assert not counted["exit 1"]
    assert sum(times for what, times in counted.items() if what.startswith("killed")) > 0
