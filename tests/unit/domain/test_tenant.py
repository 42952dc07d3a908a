"""Names of tenants, and the selection of tenants."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tenantmig.domain.tenant import NameRules, Selection, Tenant, TenantState
from tenantmig.errors import SelectionError, TenantNameError, UnknownTenantError

RESERVED = frozenset({"tenantmig", "extensions"})
STRICT = NameRules(reserved=RESERVED)
WIDE = NameRules(is_wide=True, reserved=RESERVED)
NFD = "cafe\N{COMBINING ACUTE ACCENT}"


def _is_accepted(rules: NameRules, name: str) -> bool:
    try:
        assert rules.check(name) == name
    except TenantNameError:
        return False
    return True


any_name = st.one_of(
    st.text(max_size=70),
    st.text(st.characters(exclude_categories=[])),  # surrogates too
    st.text("abz_09", min_size=1, max_size=70),
    st.text("aé\N{COMBINING ACUTE ACCENT}\0\x85\n 'PpGg_", max_size=40),
    st.sampled_from(["pg_", "PG_x", "Public", "TENANTMIG", "information_schema"]),
)


@pytest.mark.slow
@settings(deadline=None)
@given(name=any_name, is_wide=st.booleans())
def test_what_is_accepted_is_safe(name: str, is_wide: bool) -> None:
    if not _is_accepted(NameRules(is_wide, RESERVED), name):
        return
    assert 1 <= len(name.encode()) <= 63
    assert unicodedata.is_normalized("NFC", name)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)
    assert not name.lower().startswith("pg_")
    assert name.lower() not in RESERVED | {"public", "information_schema"}
    assert is_wide or (name.isascii() and name == name.lower())


@settings(deadline=None)
@given(name=any_name, is_wide=st.booleans())
def test_a_refusal_is_one_printable_line(name: str, is_wide: bool) -> None:
    rules = NameRules(is_wide, RESERVED)
    assume(not _is_accepted(rules, name))
    with pytest.raises(TenantNameError) as refused:
        rules.check(name)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 1200


@settings(deadline=None)
@given(name=any_name)
def test_wide_accepts_all_that_strict_does(name: str) -> None:
    assert _is_accepted(WIDE, name) or not _is_accepted(STRICT, name)


@pytest.mark.parametrize("rules", [STRICT, WIDE])
@pytest.mark.parametrize("name", ["acme", "a", "a_1", "id", "users", "public_", "pg", "a" * 63])
def test_plain_names_are_accepted(rules: NameRules, name: str) -> None:
    assert _is_accepted(rules, name)


@pytest.mark.parametrize("rules", [STRICT, WIDE])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("a" * 64, "64 bytes"),
        ("é" * 32, "64 bytes"),
        ("pg_acme", "pg_"),
        ("PG_acme", "pg_"),
        ("public", "cannot be a tenant's"),
        ("PUBLIC", "cannot be a tenant's"),
        ("information_schema", "cannot be a tenant's"),
        ("tenantmig", "cannot be a tenant's"),
        ("Extensions", "cannot be a tenant's"),
    ],
)
def test_refused_in_both_modes(rules: NameRules, name: str, reason: str) -> None:
    with pytest.raises(TenantNameError, match=reason):
        rules.check(name)


@pytest.mark.parametrize(
    "name",
    [
        "Acme",
        "1a",
        "_a",
        "a-b",
        "a.b",
        "a b",
        'a"b',
        "a'b",
        "é",
        "a\n",
        "\N{EN DASH}",
        "\N{FULLWIDTH LATIN SMALL LETTER A}",
    ],
)
def test_strict_refuses_all_but_plain_words(name: str) -> None:
    with pytest.raises(TenantNameError, match=r'lower-case letter.*names = "wide"'):
        STRICT.check(name)


@pytest.mark.parametrize(
    "name", ["Acme", "1a", "a.b", "a b", 'a"b', "a'b;--", "é" * 31, "東京", "🦊"]
)
def test_wide_accepts_text(name: str) -> None:
    assert _is_accepted(WIDE, name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("a\x85b", "control"),
        ("\ud800", "not text"),
        ("\N{NO-BREAK SPACE}a", "a space"),
        ("acme ", "a space"),
        (NFD, "NFC"),
    ],
)
def test_wide_refuses(name: str, reason: str) -> None:
    with pytest.raises(TenantNameError, match=reason):
        WIDE.check(name)


def test_a_refusal_says_what_was_refused() -> None:
    with pytest.raises(TenantNameError, match=r'^The tenant schema "A" is not allowed: '):
        STRICT.check("A", "tenant schema")


GOLD, FREE = {"tier": "gold"}, {"tier": "free"}
FLEET = [
    Tenant("acme", "acme", labels=GOLD),
    Tenant("acme2", "acme2", labels=FREE),
    Tenant("a?me", "odd", labels=FREE),
    Tenant("beta", "beta", state=TenantState.SUSPENDED, labels=GOLD),
    Tenant("born", "born", state=TenantState.ONBOARDING),
]


def _select(**selection: object) -> list[str]:
    return [t.name for t in Selection(**selection).select(FLEET)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        ({"is_all": True}, ["acme", "acme2", "a?me"]),
        ({"names": ("acme2", "acme")}, ["acme", "acme2"]),
        ({"names": ("a*",)}, ["acme", "acme2", "a?me"]),
        ({"names": ("*2",)}, ["acme2"]),
        ({"names": ("a?me",)}, ["a?me"]),
        ({"names": ("a?m*",)}, ["a?me"]),
        ({"names": ("*",)}, ["acme", "acme2", "a?me"]),
        ({"names": ("beta",)}, ["beta"]),
        ({"names": ("b*", "born")}, ["born"]),
        ({"labels": GOLD}, ["acme"]),
        ({"labels": FREE, "names": ("acme*",)}, ["acme2"]),
        ({"is_all": True, "labels": FREE}, ["acme2", "a?me"]),
        ({"is_all": True, "skip": ("acme", "*?*")}, ["acme2"]),
    ],
)
def test_what_a_selection_selects(selection: dict[str, object], selected: list[str]) -> None:
    assert _select(**selection) == selected


@pytest.mark.parametrize(
    "selection",
    [
        {"names": ("b*",)},
        {"labels": {"tier": "none"}},
        {"names": ("acme",), "skip": ("acme",)},
        {"names": ("beta",), "skip": ("b*",)},
    ],
)
def test_a_selection_of_nobody_is_refused(selection: dict[str, object]) -> None:
    with pytest.raises(SelectionError, match="select no active tenant"):
        _select(**selection)


def test_a_name_that_is_also_a_wildcard_is_that_name() -> None:
    fleet = [Tenant("a*", "x"), Tenant("acme", "acme"), Tenant("*", "y")]
    assert [t.name for t in Selection(names=("a*",)).select(fleet)] == ["a*"]
    assert [t.name for t in Selection(is_all=True, skip=("*",)).select(fleet)] == ["a*", "acme"]


def test_a_bare_string_is_no_list_of_names() -> None:
    with pytest.raises(SelectionError, match="sequence"):
        Selection(names="acme")  # type: ignore[arg-type]


def test_names_and_labels_narrow_each_other() -> None:
    assert _select(names=("acme", "acme2"), labels=GOLD) == ["acme"]


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        ({"names": ("acme", "nobody")}, '"nobody"'),
        ({"names": ("x*",)}, r'"x\*"'),
        ({"names": ("acme?",)}, r'"acme\?"'),
        ({"is_all": True, "skip": ("nobody",)}, '"nobody"'),
        ({"names": ("\x1b[31m",)}, r"\\x1b"),
        ({"names": tuple("uvwxyz")}, r'"y" and 1 more'),
    ],
)
def test_an_unknown_name_refuses_the_whole_selection(
    selection: dict[str, object], shown: str
) -> None:
    with pytest.raises(UnknownTenantError, match=shown) as refused:
        _select(**selection)
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("selection", [Selection(), Selection(skip=("acme",))])
def test_nothing_said_selects_nothing(selection: Selection) -> None:
    assert selection.is_empty
    with pytest.raises(SelectionError, match="--all"):
        selection.select(FLEET)
