"""Discovery: the five sources, with good and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant, TenantState
from tenantmig.errors import SourceError, TenantNameError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.settings import load_settings
from tenantmig.tenants.discovery import discover
from tenantmig.tenants.registry import add_tenant
from tests.fixtures.command import Project
from tests.fixtures.database import Database


class Source:
    """One source at a time, on a fresh database."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.database = database
        options = SessionOptions(DatabaseUrl.parse(database.url))
        self.ledger = Ledger(lambda: connect(options), "tenantmig")
        self.names = "strict"

    def read(self, source: str, **settings: object) -> list[Tenant]:
        config = self.folder / "alembic.ini"
        read = load_settings(config=config, source=source, names=self.names, **settings)
        return discover(read, self.ledger)

    def pairs(self, source: str, **settings: object) -> list[tuple[str, str]]:
        return [(tenant.name, tenant.schema) for tenant in self.read(source, **settings)]

    def query(self, text: str) -> list[Tenant]:
        return self.read("query", source_query=text)

    def file(self, content: str | bytes) -> list[tuple[str, str]]:
        path = self.folder / "tenants.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.pairs("file", source_file=path)

    def register(self, *tenants: Tenant) -> None:
        self.ledger.create()
        for tenant in tenants:
            add_tenant(self.ledger.connection, "tenantmig", tenant)


@pytest.fixture
def source(tmp_path: Path, database: Database) -> Iterator[Source]:
    source = Source(tmp_path, database)
    yield source
    source.ledger.close()


@pytest.mark.parametrize("kind", ["registry", "schemas"])
def test_a_fresh_database_has_no_tenants_and_gets_no_ledger(source: Source, kind: str) -> None:
    assert source.read(kind, source_pattern="%") == []
    assert source.database.fetch("SELECT to_regnamespace('tenantmig') IS NULL") == [(True,)]


def test_the_registry_gives_all_it_knows_by_name(source: Source) -> None:
    acme = Tenant("acme", "t_1", source.database.name, labels={"tier": "gold"})
    beta = Tenant("beta", "beta", source.database.name, TenantState.SUSPENDED)
    source.register(beta, acme)
    assert source.read("registry") == [acme, beta]


def test_schemas_match_a_pattern(source: Source) -> None:
    source.database.execute("CREATE SCHEMA tenant_b; CREATE SCHEMA tenant_a; CREATE SCHEMA tenantx")
    assert source.pairs("schemas", source_pattern=r"tenant\_%") == [
        ("tenant_a", "tenant_a"),
        ("tenant_b", "tenant_b"),
    ]
    assert {t.database for t in source.read("schemas", source_pattern="%")} == {
        source.database.name
    }


def test_schemas_that_are_no_tenants_never_match(source: Source) -> None:
    source.ledger.create()
    source.database.execute("CREATE SCHEMA acme; CREATE SCHEMA extensions")
    found = source.pairs("schemas", source_pattern="%", extension_schemas=("extensions",))
    assert found == [("acme", "acme")]


def test_a_schema_with_an_odd_name_is_refused_unless_names_are_wide(source: Source) -> None:
    source.database.execute('CREATE SCHEMA "Tenant ""1"""')
    with pytest.raises(TenantNameError, match=r"Tenant .*not allowed.*\(Source: schemas\.\)"):
        source.read("schemas", source_pattern="Tenant%")
    source.names = "wide"
    assert source.pairs("schemas", source_pattern="Tenant%") == [('Tenant "1"',) * 2]


def test_a_pattern_that_postgresql_refuses_is_a_source_error(source: Source) -> None:
    source.database.execute("CREATE SCHEMA ab")
    with pytest.raises(SourceError, match=r"source_pattern"):
        source.read("schemas", source_pattern="a\\")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("schemas", "source_pattern"),
        ("query", "source_query"),
        ("file", "source_file"),
        ("callable", "source_callable"),
    ],
)
def test_a_source_without_its_setting_is_refused(source: Source, kind: str, key: str) -> None:
    with pytest.raises(SourceError, match=f"'{kind}', but `{key}` is not set"):
        source.read(kind)


def test_a_query_gives_names_schemas_states_and_labels(source: Source) -> None:
    source.database.allow_public("account")
    source.database.execute(
        "CREATE TABLE public.account (name text, schema text, state text, labels jsonb);"
        " INSERT INTO public.account VALUES ('beta', NULL, 'suspended', NULL),"
        """ ('acme', 't_1', NULL, '{"tier": "gold%"}');"""
        "CREATE SCHEMA t_1"
    )
    name = source.database.name
    assert source.query("SELECT * FROM public.account WHERE name LIKE '%a%';") == [
        Tenant("acme", "t_1", name, labels={"tier": "gold%"}),
        Tenant("beta", "beta", name, TenantState.SUSPENDED),
    ]
    assert source.query("SELECT * FROM public.account WHERE false") == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELEC 1", "`source_query` failed: syntax error"),
        ("SELECT * FROM public.nowhere", "`source_query` failed: relation .* does not exist"),
        ("SET work_mem = '1MB'", "`source_query` failed"),
        ("CREATE TABLE public.stray ()", "`source_query` failed: .* read-only transaction"),
        ("SELECT 'acme' AS slug", "column `name`"),
        ("SELECT NULL::text AS name", "a name of type NoneType"),
        ("SELECT 'acme' AS name, 'gone' AS state", "'acme' an unknown state: 'gone'"),
        ("SELECT 'acme' AS name, 'gold' AS labels", "'acme' labels that are not a mapping"),
        ("VALUES ('acme')", "column `name`"),
    ],
)
def test_a_query_that_lists_no_tenants_is_refused(source: Source, query: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        source.query(query)
    assert [t.name for t in source.query("SELECT 'acme' AS name")] == ["acme"]  # still usable


def test_a_file_lists_names_and_schemas(source: Source) -> None:
    text = '# name,schema\r\nbeta,t_2\r\n\r\n"acme"\r\ncorp,\r\n'
    assert source.file(text) == [("acme", "acme"), ("beta", "t_2"), ("corp", "corp")]
    assert source.file("") == []


def test_a_file_with_odd_names_needs_wide_names(source: Source) -> None:
    source.names = "wide"
    assert source.file('"Doe, ""J"" & Co",d\n') == [('Doe, "J" & Co', "d")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("acme\n,t_1\n", "line 2: write name or name,schema"),
        ("acme\nbeta,b,c\n", "line 2: write name or name,schema"),
        (b"caf\xe9\n", "cannot be read: .*utf-8"),
        ("acme,a\nacme,b\n", 'lists the name "acme" more than once'),
        ("acme,a\nbeta,a\n", 'lists the schema "a" more than once'),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(
    source: Source, content: str | bytes, reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        source.file(content)


def test_a_file_that_is_not_there_is_named(source: Source) -> None:
    with pytest.raises(SourceError, match=r"none\.csv cannot be read"):
        source.read("file", source_file=source.folder / "none.csv")


@pytest.mark.parametrize("line", ["public", "acme,pg_toast", "acme,tenantmig", "a b"])
def test_no_source_may_list_a_name_that_the_rules_refuse(source: Source, line: str) -> None:
    with pytest.raises(TenantNameError, match=r"\(Source: file\.\)"):
        source.file(f"beta\n{line}\n")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable module whose name no other test uses."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / f"listing_{uuid4().hex}.py"


@pytest.mark.parametrize(
    "body",
    [
        "return ['beta', 'acme']",
        "return (('acme', 'acme'), ('beta', 'beta'))",
        "yield {'name': 'beta'}; yield {'name': 'acme', 'schema': None, 'state': 'active'}",
        "from tenantmig import Tenant; return [Tenant('acme', 'acme'), 'beta']",
    ],
)
def test_a_callable_gives_names_pairs_rows_or_tenants(
    source: Source, module: Path, body: str
) -> None:
    module.write_text(f"def listing():\n    {body}\n")
    source.database.execute("CREATE SCHEMA acme; CREATE SCHEMA beta")
    assert source.read("callable", source_callable=f"{module.stem}:listing") == [
        Tenant("acme", "acme", source.database.name),
        Tenant("beta", "beta", source.database.name),
    ]


@pytest.mark.parametrize(
    ("code", "function", "reason"),
    [
        ("", ":listing", "cannot be imported .*listing.*write module:function"),
        ("listing = 7", ":listing", "TypeError"),
        ("def listing(): raise RuntimeError('no database')", ":listing", "no database"),
        ("def listing(): yield 7", ":listing", "it gave int"),
        ("def listing(): return None", ":listing", "TypeError"),
        ("listing = print", "", "write module:function"),
        ("import nowhere_at_all", ":listing", "nowhere_at_all"),
        ("1 / 0", ":listing", "ZeroDivisionError|division by zero"),
        ("def", ":listing", "invalid syntax"),
    ],
)
def test_a_callable_that_cannot_list_is_refused(
    source: Source, module: Path, code: str, function: str, reason: str
) -> None:
    module.write_text(code)
    with pytest.raises(SourceError, match=reason):
        source.read("callable", source_callable=f"{module.stem}{function}")


@pytest.mark.parametrize("where", ["nowhere.at.all:f", ":f", ":", "no module"])
def test_a_callable_that_cannot_be_found_is_refused(source: Source, where: str) -> None:
    with pytest.raises(SourceError, match="cannot be imported"):
        source.read("callable", source_callable=where)


@pytest.mark.parametrize("command", [("tenants", "list"), ("status",)])
def test_a_callable_is_looked_for_where_alembic_looks(
    project: Project, database: Database, command: tuple[str, ...]
) -> None:
    database.execute("CREATE SCHEMA acme")
    (project.folder / "app_tenants.py").write_text("def listing():\n    return ['acme']\n")
    ini = project.ini.read_text().replace("sys_path = ", "sys_path = %(here)s:")
    project.ini.write_text(ini)
    project.settings('source = "callable"\nsource_callable = "app_tenants:listing"\n')
    assert "acme" in project.run(*command).out


@pytest.mark.parametrize("state", [TenantState.ONBOARDING, TenantState.OFFBOARDING])
def test_an_unfinished_tenant_keeps_its_state_whatever_the_source(
    source: Source, state: TenantState
) -> None:
    source.register(Tenant("acme", "acme", state=state))
    source.database.execute("CREATE SCHEMA beta")
    found = source.query("SELECT unnest(ARRAY['acme', 'beta']) AS name")
    assert [tenant.state for tenant in found] == [state, TenantState.ACTIVE]


def test_a_uuid_or_a_number_in_a_name_column_is_text(source: Source) -> None:
    source.names = "wide"
    one = "0b9e2c1e-5a74-4d0c-9f7e-0a4c8a1b2c3d"
    database = source.database
    database.execute(f'CREATE SCHEMA "{one}"; CREATE SCHEMA "42"; CREATE SCHEMA "7"')
    query = f"SELECT '{one}'::uuid AS name, NULL::uuid AS schema"
    assert [(t.name, t.schema) for t in source.query(query)] == [(one, one)]
    assert [(t.name, t.schema) for t in source.query("SELECT 42 AS name")] == [("42", "42")]
    assert [t.name for t in source.query("SELECT 7::bigint AS name")] == ["7"]
    for value, kind in (("true", "bool"), ("NULL::text", "NoneType"), ("1.5", "Decimal")):
        with pytest.raises(SourceError, match=f"a name of type {kind}"):
            source.query(f"SELECT {value} AS name")


def test_a_row_that_is_there_before_its_onboarding_waits_for_it(source: Source) -> None:
    query = "SELECT * FROM (VALUES ('acme'), ('beta')) AS listed (name)"
    source.database.execute("CREATE SCHEMA acme")
    states = {t.name: t.state for t in source.query(query)}
    assert states == {"acme": TenantState.ACTIVE, "beta": TenantState.ONBOARDING}
    source.ledger.create()
    source.database.execute(
        "INSERT INTO tenantmig.run (kind, target, state, host, tool_version)"
        " VALUES ('upgrade', 'r1', 'complete', 'h', '0');"
        "INSERT INTO tenantmig.run_tenant (run, tenant, schema, to_revision)"
        " SELECT id, 'beta', 'beta', 'r1' FROM tenantmig.run"
    )
    assert {t.state for t in source.query(query)} == {TenantState.ACTIVE}  # it was there


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname,schema\r\n\r\nacme,t_1\r\n  \r\nbeta\r\n,\r\n",
        b"# exported\nSchema, Name\n\nt_1, acme\nbeta,beta\n\n",
        b"acme , t_1\rbeta\r",
        b'"name","schema"\n"acme","t_1"\n"beta",""\n# end\n',
    ],
)
def test_a_file_as_spreadsheets_write_it(source: Source, content: bytes) -> None:
    source.database.execute("CREATE SCHEMA t_1; CREATE SCHEMA beta")
    assert source.file(content) == [("acme", "t_1"), ("beta", "beta")]


def test_a_header_that_may_be_a_tenant_is_refused(source: Source) -> None:
    with pytest.raises(SourceError, match="line 1: `name` alone may be a header or a tenant"):
        source.file("name\nacme\n")
    assert source.file("name,name\n") == [("name", "name")]
