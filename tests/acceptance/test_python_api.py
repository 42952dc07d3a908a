"""The Python API, by the example that docs/guides/application.md shows."""

from __future__ import annotations

import threading

import pytest

from examples.signup import SignupError, behind, roll_release, sign_up
from tenantmig import Fleet
from tests.fixtures.command import Project


@pytest.mark.slow
def test_an_application_signs_up_customers_and_rolls_a_release(project: Project) -> None:
    with Fleet.open(project.ini, database_url=project.url, parallel=2) as fleet:
        schemas: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: schemas.append(sign_up(fleet, f"customer_{n}")))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert sorted(schemas) == [f"customer_{n}" for n in range(4)]
        with pytest.raises(SignupError, match='"customer_1" already exists'):
            sign_up(fleet, "customer_1")
        with pytest.raises(SignupError, match="is not allowed"):
            sign_up(fleet, 'x"; DROP SCHEMA public')
        assert fleet.onboard(["late"], "0013").is_complete
        assert behind(fleet) == ["late"]
        told: list[str] = []
        assert roll_release(fleet, told.append).is_complete
        assert told == ["1/1 late upgraded"]
        assert behind(fleet) == []
