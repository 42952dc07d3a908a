"""Waves: the failure budget, the canary, the order of tenants and how they are cut into waves."""

from __future__ import annotations

import pytest

from tenantmig.domain.plan import Path
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import Canary, FailureBudget, chunks, first_to_go
from tenantmig.errors import SettingsError
from tenantmig.settings import load_settings


@pytest.mark.parametrize(
    ("text", "amount", "is_share", "shown"),
    [
        ("3", 3.0, False, "3"),
        ("0", 0.0, False, "0"),
        (" 12 ", 12.0, False, "12"),
        ("5%", 5.0, True, "5%"),
        ("2.5%", 2.5, True, "2.5%"),
        ("0%", 0.0, True, "0%"),
        ("100 %", 100.0, True, "100%"),
        ("250", 250.0, False, "250"),
    ],
)
def test_a_budget_is_a_number_or_a_share(
    text: str, amount: float, is_share: bool, shown: str
) -> None:
    budget = FailureBudget.parse(text)
    assert budget == FailureBudget(amount, is_share)
    assert str(budget) == shown
    assert FailureBudget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "%", "-1", "2.5", "101%", "five", "5%%", "1e3", "5 tenants", "nan", "inf%", "5,5%"]
)
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(ValueError, match="3, or a percentage like 5%"):
        FailureBudget.parse(text)


@pytest.mark.parametrize(
    ("budget", "tenants", "last_allowed"),
    [
        ("0", 100, 0),
        ("3", 100, 3),
        ("3", 2, 3),
        ("5%", 100, 5),
        ("5%", 119, 5),
        ("5%", 120, 6),
        ("5%", 19, 1),  # a share allows at least one
        ("5%", 1, 1),
        ("0%", 100, 1),
        ("100%", 7, 7),
    ],
)
def test_what_a_budget_allows(budget: str, tenants: int, last_allowed: int) -> None:
    read = FailureBudget.parse(budget)
    assert read.allows(0, tenants)
    assert read.allows(last_allowed, tenants)
    assert not read.allows(last_allowed + 1, tenants)


@pytest.mark.parametrize(
    ("text", "count", "names", "shown"),
    [
        ("0", 0, (), "0"),
        ("2", 2, (), "2"),
        ("acme", 0, ("acme",), "acme"),
        (" acme , globex,", 0, ("acme", "globex"), "acme,globex"),
        ("1,2", 0, ("1", "2"), "1,2"),  # names that look like numbers
    ],
)
def test_a_canary_is_a_number_or_names(
    text: str, count: int, names: tuple[str, ...], shown: str
) -> None:
    canary = Canary.parse(text)
    assert canary == Canary(count, names)
    assert str(canary) == shown
    assert Canary.parse(str(canary)) == canary


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_what_is_no_canary(text: str) -> None:
    with pytest.raises(ValueError, match="how many tenants go first"):
        Canary.parse(text)


@pytest.mark.parametrize(
    ("name", "value"), [("canary", ""), ("max_failures", "many"), ("wave", "0")]
)
def test_a_bad_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"`{name}`"):
        load_settings(**{name: value})


def test_those_with_the_longest_path_go_first_and_others_keep_their_order() -> None:
    def work(name: str, *revisions: str) -> tuple[Tenant, Path]:
        return Tenant(name, name), Path((), (), revisions, "head")

    pending = [work("a", "r2"), work("b", "r1", "r2"), work("c", "r2"), work("d", "r1", "r2")]
    assert [tenant.name for tenant, _ in first_to_go(pending)] == ["b", "d", "a", "c"]


@pytest.mark.parametrize(
    ("count", "size", "waves"),
    [
        (0, None, []),
        (0, 2, []),
        (3, None, [3]),
        (5, 2, [2, 2, 1]),
        (4, 2, [2, 2]),
        (2, 9, [2]),
    ],
)
def test_waves_have_their_size_and_leave_nobody_out(
    count: int, size: int | None, waves: list[int]
) -> None:
    cut = list(chunks(range(count), size))
    assert [len(wave) for wave in cut] == waves
    assert [number for wave in cut for number in wave] == list(range(count))
