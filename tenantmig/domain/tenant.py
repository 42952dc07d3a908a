"""A tenant, the rules for its names, and the selection of tenants. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tenantmig.domain.lineage import SHARED_NAME
from tenantmig.errors import SelectionError, TenantNameError, UnknownTenantError

STRICT_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
SCRATCH = "tenantmig_scratch_"  # how the name of a scratch schema begins
POOL = "tenantmig_pool_"  # how the name of a schema that waits for a tenant begins
MAX_NAME_BYTES = 63  # NAMEDATALEN - 1; PostgreSQL docs, 4.1.1 "Identifiers and Key Words"
PLACEHOLDER = "tenant"
"""The name, of a tenant and of its schema, that stands for any tenant."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories


class TenantState(StrEnum):
    """The state of a tenant; runs include only active tenants, unless others are named."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ONBOARDING = "onboarding"
    OFFBOARDING = "offboarding"


UNFINISHED = frozenset({TenantState.ONBOARDING, TenantState.OFFBOARDING})


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer: a name, and the exact PostgreSQL schema that holds its tables."""

    name: str
    schema: str
    database: str = ""
    state: TenantState = TenantState.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    """What is wrong in its row of the registry; nothing is run for it until that is corrected."""

    @property
    def unfinished(self) -> str | None:
        """Say that it is yet to be born or dropped, and by what command; None if it is neither."""
        match self.state:
            case TenantState.ONBOARDING:
                return (
                    "its onboarding has not begun or not finished; run `tenantmig onboard` for it"
                )
            case TenantState.OFFBOARDING:
                return "its offboarding was interrupted; run `tenantmig offboard` for it again"
        return None


@dataclass(frozen=True, slots=True)
class NameRules:
    """Which names a tenant and its schema may have.

    `is_wide` admits any NFC text of at most 63 bytes without control characters and square
    brackets (SQLAlchemy's schema_translate_map refuses those); the default
    admits `[a-z][a-z0-9_]{0,62}` alone. `reserved` schemas are refused in both modes.
    """

    is_wide: bool = False
    reserved: frozenset[str] = frozenset()

    def check(self, name: str, what: str = "tenant name") -> str:
        """Return `name` unchanged, or say why it cannot be the name of a tenant or its schema.

        Raises:
            TenantNameError: with the rule that the name breaks.
        """
        problem = self._problem(name)
        if problem:
            raise TenantNameError(f"The {what} {_printable(name)} is not allowed: {problem}.")
        return name

    def _problem(self, name: str) -> str | None:
        if not name:
            return "it is empty"
        if "\0" in name:
            return "it contains a NUL character"
        size = len(name.encode("utf-8", "surrogatepass"))
        if size > MAX_NAME_BYTES:
            return f"it is {size} bytes long, and PostgreSQL keeps only {MAX_NAME_BYTES}"
        if name.lower().startswith("pg_"):
            return "PostgreSQL reserves names that begin with pg_"
        if name == SHARED_NAME:
            return "it is reserved for the shared lineage"
        if name.lower().startswith(SCRATCH):
            return "tenantmig reserves such names for its scratch schemas"
        if name.lower().startswith(POOL):
            return "tenantmig reserves such names for the schemas of its pool"
        if name.lower() in self.reserved | {"public", "information_schema", "$user"}:
            return "this schema cannot be a tenant's"
        return self._wide_problem(name) if self.is_wide else self._strict_problem(name)

    @staticmethod
    def _strict_problem(name: str) -> str | None:
        if STRICT_NAME.fullmatch(name):
            return None
        return (
            "begin with a lower-case letter, then use lower-case letters, digits and "
            'underscores (or set names = "wide")'
        )

    @staticmethod
    def _wide_problem(name: str) -> str | None:
        if any(unicodedata.category(char) in UNSEEN for char in name):
            return "it contains a control character or a character that is not text"
        if name != name.strip():
            return "it begins or ends with a space"
        if "[" in name or "]" in name:
            return (
                "it contains a square bracket, which SQLAlchemy does not accept in a schema "
                "name that it translates"
            )
        if unicodedata.normalize("NFC", name) != name:
            return "it is not in Unicode's composed form (NFC)"
        return None


def _printable(name: str) -> str:
    text = name if len(name) <= 80 else name[:77] + "..."
    return ascii(text) if any(not char.isprintable() for char in text) else f'"{text}"'


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects tenants of a fleet.

    `names` may contain `*` wildcards, unless `has_wildcards` is false. An empty selection selects
    nothing; `is_all` selects every active tenant. With names and labels, a tenant must match both;
    `skip` always removes. A tenant that is not active is selected only by its exact name.
    """

    is_all: bool = False
    names: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    has_wildcards: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a bare string where a sequence of names belongs: it would be its letters."""
        if isinstance(self.names, str) or isinstance(self.skip, str):
            raise SelectionError(
                "Give the names as a sequence, such as Selection(names=('acme',))."
            )

    @property
    def is_empty(self) -> bool:
        """True when nothing says which tenants are meant."""
        return not (self.is_all or self.names or self.labels)

    @property
    def is_everyone(self) -> bool:
        """True when it stands for all active tenants of the fleet."""
        return self.is_all and not (self.names or self.labels or self.skip)

    @property
    def is_open(self) -> bool:
        """True when a tenant that is born later may belong to it."""
        return (
            self.is_all
            or bool(self.labels)
            or (self.has_wildcards and any("*" in name for name in self.names))
        )

    def among(self, fleet: Iterable[Tenant]) -> list[Tenant]:
        """Return the selected tenants; names that are not there are no error."""
        tenants = list(fleet)
        known = {tenant.name for tenant in tenants}
        names, skip = self._words(self.names, known), self._words(self.skip, known)
        return [tenant for tenant in tenants if self._selects(tenant, names, skip)]

    def select(self, fleet: Iterable[Tenant]) -> list[Tenant]:
        """Return the selected tenants in the order of the fleet.

        Raises:
            SelectionError: the selection is empty, or names and labels select no tenant.
            UnknownTenantError: a name (or a wildcard) that no tenant has.
        """
        if self.is_empty:
            raise SelectionError
        tenants = list(fleet)
        known = {tenant.name for tenant in tenants}
        self._refuse_unknown(known)
        selected = self.among(tenants)
        if not selected and (self.names or self.labels):
            raise SelectionError("These names and labels select no active tenant.")
        return selected

    def _refuse_unknown(self, known: set[str]) -> None:
        unknown = [
            word
            for word in (*self.names, *self.skip)
            if word not in known and not any(map(self._words((word,), known).match, known))
        ]
        if unknown:
            shown = ", ".join(_printable(name) for name in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise UnknownTenantError(
                f"No such tenant: {shown}{more}; `tenantmig tenants list` lists all tenants."
            )

    def _words(self, words: Sequence[str], known: set[str]) -> _Words:
        return _Words(words if self.has_wildcards else set(words) & known, known)

    def _selects(self, tenant: Tenant, names: _Words, skip: _Words) -> bool:
        if skip.match(tenant.name):
            return False
        if tenant.state is not TenantState.ACTIVE and tenant.name not in names.exact:
            return False
        if self.names and not names.match(tenant.name):
            return False
        return all(tenant.labels.get(key) == value for key, value in self.labels.items())


EVERYONE = Selection(is_all=True)


class _Words:
    """Names as a user gives them: a word that is a tenant's name is that name and no wildcard."""

    def __init__(self, words: Iterable[str], known: set[str]) -> None:
        given = set(words)
        self.exact = given & known
        self.patterns = [
            re.compile(".*".join(map(re.escape, word.split("*"))), re.DOTALL)
            for word in given - known
            if "*" in word
        ]

    def match(self, name: str) -> bool:
        return name in self.exact or any(p.fullmatch(name) for p in self.patterns)
