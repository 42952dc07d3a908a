"""A parameter as a literal means to the server what it meant when psycopg bound it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.adapt import PyFormat
from psycopg.dbapi20 import Binary
from psycopg.types import json, multirange, numeric
from psycopg.types import range as ranged

from tenantmig.postgres.literals import Literals, UnwritableError
from tests.fixtures.server import AnyServer

EXAMPLES = 12
SCHEMA = """
    CREATE TYPE mood AS ENUM ('sad', 'fine');
    CREATE DOMAIN short AS varchar(3);
    CREATE TABLE kept (i2 int2, i4 int4, i8 int8, n numeric(9, 2), f4 float4, f8 float8, t text,
                       v varchar(4), c char(4), d date, ts timestamptz(0), span interval minute,
                       u uuid, j json, b jsonb, raw bytea, ip inet, yes bool, m mood, s short,
                       bits bit(3), i4s int4[], ts_ text[]);
"""
KINDS = """bool int2 int4 int8 numeric float4 float8 text bytea date time timestamp timestamptz
interval uuid inet cidr json jsonb oid int4range""".split()  # noqa: SIM905  fewer quotes
EXPRESSIONS = [
    "{}", "pg_typeof({})", "{}::text", "{} || ''", "'' || {}", "{} || 'x'::text", "round({})",
    "round({}, 1)", "{} / 2", "7 / {}", "7.5 * {}", "{} + 1", "({})[1]", "-{}", "NOT {}",
    "ARRAY[{}]", "pg_typeof(ARRAY[{}])", "kind({})", "to_jsonb({})", "coalesce({}, {})", "{} = {}",
    "greatest({}, NULL)", "CASE WHEN {} IS NULL THEN 1 ELSE 2 END", "{}::int", "{}::varchar",
    "length({})", "extract(epoch from {})", "now() - {}", "concat({}, 1)",
    "{} = ANY (ARRAY['a', '1'])",
    "{} -> 'a'", "{}::int4::text || {}", "1 IN ({}, 2)", "format('%%s', {})", "{} <@ {}",
]  # fmt: skip
COLUMNS = """i2 i4 i8 n f4 f8 t v c d ts span u j b raw ip yes m s bits i4s ts_""".split()  # noqa: SIM905
STATEMENTS = [
    *(f"SELECT {one.format(*['%(p)s'] * one.count('{}'))}" for one in EXPRESSIONS),
    *(f"INSERT INTO kept ({c}) VALUES (%(p)s) RETURNING {c}" for c in COLUMNS),
    "INSERT INTO kept (t) SELECT %(p)s RETURNING t",
    "SELECT x FROM (VALUES (0.125), (%(p)s)) AS v (x)",
    "SELECT round(0.125::float8 * %(p)s)",
    "SELECT 1 AS a UNION ALL SELECT %(p)s ORDER BY 1",
    "SELECT n FROM generate_series(1, 3) AS n ORDER BY %(p)s, n LIMIT %(p)s",
]
floats, whole = st.floats(width=32), st.integers(-(2**70), 2**70)
texts = st.one_of(
    st.sampled_from(
        ["", "007", "5", "1.50", "sad", "true", "a\\b'c", "{1,2}", "101", "2020-01-01"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
times = st.times(timezones=st.sampled_from([None, dt.timezone(dt.timedelta(hours=5))]))
zones = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3))])
moments = st.datetimes(timezones=zones)
spans = st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999))
decimals = st.decimals() | st.sampled_from([decimal.Decimal("1.50")])
small = st.integers(-(2**15), 2**15 - 1)
values = st.recursive(st.none() | st.booleans() | small | texts, st.lists, max_leaves=3)


class Mood(enum.Enum):
    SAD = "sad"
    OTHER = "other"


def ranges(kind: Callable[..., Any], bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Ranges of a kind, also empty ones and without an end."""
    pairs = st.lists(bounds, min_size=2, max_size=2).map(sorted)
    ends = st.sampled_from(["[)", "()", "[]", "(]"])
    return (
        st.builds(lambda pair, end: kind(*pair, end), pairs, ends)
        | bounds.map(kind)
        | st.just(kind(empty=True))
    )


plain, aware = st.datetimes(), st.datetimes(timezones=st.just(dt.UTC))
RANGES = {
    "Int4": (ranged.Int4Range, small),
    "Int8": (ranged.Int8Range, small),
    "Numeric": (ranged.NumericRange, st.decimals(allow_nan=False, allow_infinity=False)),
    "Date": (ranged.DateRange, st.dates()),
    "Timestamp": (ranged.TimestampRange, plain),
    "Timestamptz": (ranged.TimestamptzRange, aware),
}
elements: list[st.SearchStrategy[Any]] = [
    small, whole, floats, texts, st.booleans(), st.dates(), moments, decimals, st.uuids(), spans,
    st.binary(max_size=3), st.ip_addresses(v=4), values.map(json.Jsonb),
    st.builds(numeric.Int4, small),
]  # fmt: skip
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    list: st.one_of(*(st.lists(one | st.none(), max_size=3) for one in elements))
    | st.lists(st.lists(small, min_size=2, max_size=2), max_size=2),
    tuple: st.tuples(small, texts),
    "datetime.date": st.dates(),
    "datetime.time": times,
    "datetime.datetime": moments,
    "datetime.timedelta": spans,
    enum.Enum: st.sampled_from(Mood),
    json.Json: values.map(json.Json),
    json.Jsonb: values.map(json.Jsonb),
    "ipaddress.IPv4Address": st.ip_addresses(v=4),
    "ipaddress.IPv6Address": st.ip_addresses(v=6),
    "ipaddress.IPv4Interface": st.ip_addresses(v=4).map(lambda a: ipaddress.ip_interface(f"{a}/9")),
    "ipaddress.IPv6Interface": st.ip_addresses(v=6).map(lambda a: ipaddress.ip_interface(f"{a}/9")),
    "ipaddress.IPv4Network": st.ip_addresses(v=4).map(ipaddress.ip_network),
    "ipaddress.IPv6Network": st.ip_addresses(v=6).map(ipaddress.ip_network),
    type(None): st.none(),
    ranged.Range: ranges(ranged.Range, small) | ranges(ranged.Range, st.dates()),
    multirange.Multirange: st.lists(ranges(ranged.Range, small), max_size=2).map(
        multirange.Multirange
    ),
    **{kind: ranges(kind, bounds) for kind, bounds in RANGES.values()},
    **{
        getattr(multirange, f"{name}Multirange"): st.lists(
            ranges(ranged.Range, bounds), max_size=2
        ).map(getattr(multirange, f"{name}Multirange"))
        for name, (_, bounds) in RANGES.items()
    },
    str: texts,
    bytes: st.binary(max_size=5),
    bytearray: st.binary(max_size=5).map(bytearray),
    memoryview: st.binary(max_size=5).map(memoryview),
    "uuid.UUID": st.uuids(),
    bool: st.booleans(),
    int: small | st.integers(-(2**31), 2**31) | st.integers(-(2**63), 2**63) | whole,
    float: floats | st.floats() | st.sampled_from([2.5, 0.1, -0.0, 1e300]),
    numeric.Int2: small.map(numeric.Int2),
    numeric.Int4: small.map(numeric.Int4),
    numeric.Int8: small.map(numeric.Int8),
    numeric.IntNumeric: whole.map(numeric.IntNumeric),
    numeric.Oid: st.integers(0, 2**32 - 1).map(numeric.Oid),
    "decimal.Decimal": decimals,
    numeric.Float4: floats.map(numeric.Float4),
    numeric.Float8: floats.map(numeric.Float8),
    Binary: st.binary(max_size=5).map(Binary),
}
REGISTERED = [
    key for key in psycopg.adapters._dumpers[PyFormat.AUTO] if not str(key).startswith("numpy.")
]
"""numpy is no library of ours; its types are bound as those of the same width."""


def test_each_registered_type_has_values() -> None:
    assert set(BY_TYPE) == set(REGISTERED)


@pytest.fixture(scope="module", params=["newest", "16"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A session whose transaction is never committed, on each version."""
    name = "server" if request.param == "newest" else "server16"
    server: AnyServer = request.getfixturevalue(name)
    with psycopg.connect(server.url(), autocommit=False, prepare_threshold=None) as opened:
        opened.execute("CREATE SCHEMA tenant; SET search_path = tenant, pg_temp")
        opened.execute(SCHEMA.encode())
        for kind in KINDS:
            body = (
                f"CREATE FUNCTION kind({kind}) RETURNS text LANGUAGE sql AS $$ SELECT '{kind}' $$"
            )
            opened.execute(body.encode())
        yield opened
        opened.rollback()


def answer(connection: psycopg.Connection[Any], *statement: Any) -> tuple[Any, ...] | None:
    """What a statement returns, to the letter and with its types; None where it is refused."""
    try:
        with connection.transaction(force_rollback=True):
            result = connection.execute(*statement).pgresult
            assert result is not None
            cells = [result.get_value(row, 0) for row in range(result.ntuples)]
            return result.ftype(0), result.fmod(0), cells
    except (psycopg.Error, UnwritableError):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", BY_TYPE, ids=lambda kind: getattr(kind, "__name__", kind))
def test_a_parameter_as_a_literal(kind: Any, connection: psycopg.Connection[Any]) -> None:
    """Bound or replayed, the same row; what the server refuses when bound is not looked at."""
    literals = Literals(connection)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BY_TYPE[kind], st.lists(st.sampled_from(STATEMENTS), min_size=12, max_size=12))
    def same_row(value: Any, statements: list[str]) -> None:
        for statement in statements:
            bound = answer(connection, statement, {"p": value, "unused": 1})
            if bound is not None:
                text = written(literals, statement, value)
                assert answer(connection, text.encode()) == bound, text

    same_row()


def written(literals: Literals, statement: str, value: Any) -> str:
    """The statement as it is replayed; the connection is left as it was."""
    with literals.connection.transaction(force_rollback=True):
        return literals.write(statement, {"p": value, "unused": 1})


@pytest.mark.parametrize(
    ("statement", "parameters", "expected"),
    [
        ("SELECT round(0.125::float8 * %s)", [20], "round(0.125::float8 * ('20'::smallint))"),
        ("SELECT %s", [2.5], "('2.5'::double precision)"),
        ("INSERT INTO kept (span) VALUES (%s)", ["5"], "('5'::interval)"),
        ("INSERT INTO kept (bits) VALUES (%s)", ["101"], "('101'::\"bit\")"),
        ("INSERT INTO kept (m) VALUES (%s)", ["sad"], "('sad'::mood)"),
        ("INSERT INTO kept (s) VALUES (%s)", ["a"], "('a'::short)"),
        ("INSERT INTO kept (t) VALUES (%s)", [None], "(NULL::text)"),
        ("SELECT '100%%', %s", ["50%s"], "SELECT '100%', ('50%s'::text)"),
        ("SELECT '100%%'", [], "SELECT '100%'"),
        ("SELECT %(a)s::int, %(a)s", {"a": "007"}, "('007'::integer)::int, ('007'::integer)"),
    ],
)
def test_how_a_parameter_is_written(
    statement: str, parameters: Any, expected: str, connection: psycopg.Connection[Any]
) -> None:
    assert expected in Literals(connection).write(statement, parameters)


def test_what_cannot_be_written_is_said(connection: psycopg.Connection[Any]) -> None:
    """The transaction goes on: the script will hear of it from its own statement."""
    literals = Literals(connection)
    refused: list[tuple[str, list[Any]]] = [("SELECT %b", [1]), ("SELECT %s FROM missing", ["a"])]
    for statement, parameters in refused:
        with pytest.raises((UnwritableError, psycopg.Error)):
            literals.write(statement, parameters)
    assert connection.execute("SELECT 1").fetchone() == (1,)
