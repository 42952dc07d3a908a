"""Outlines are read for many tenants at once, by one thread while the others go on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tenantmig.catalog.fingerprint import CHUNK, Outline
from tenantmig.engines.catalogs import AHEAD, Catalogs

TENANTS = [f"t{number}" for number in range(3 * CHUNK)]
PATIENCE_S = 60.0


class Server:
    """Answers with an outline for each schema but `gone`; a read of `held` waits until let go."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []
        self.held: str | None = None
        self.is_reading = threading.Event()
        self.let_go = threading.Event()

    def outlines(self, schemas: Sequence[str]) -> Mapping[str, Outline]:
        self.read.append(list(schemas))
        if self.held in schemas:
            self.is_reading.set()
            assert self.let_go.wait(PATIENCE_S)
        return {schema: Outline(f"mark of {schema}", 1) for schema in schemas if schema != "gone"}


def test_each_outline_is_read_once_and_many_at_a_time() -> None:
    server = Server()
    catalogs = Catalogs(server.outlines)
    catalogs.expect(TENANTS)
    for tenant in TENANTS:
        outline = catalogs.before(tenant)
        assert outline is not None
        assert outline.mark == f"mark of {tenant}"
    assert [len(chunk) for chunk in server.read] == [CHUNK] * 3
    assert Counter(tenant for chunk in server.read for tenant in chunk) == Counter(TENANTS)


def test_nobody_waits_for_outlines_that_another_reads() -> None:
    server = Server()
    catalogs = Catalogs(server.outlines)
    catalogs.expect(TENANTS)
    catalogs.before(TENANTS[0])
    server.held = TENANTS[CHUNK]
    with ThreadPoolExecutor(2) as threads:
        reader = threads.submit(catalogs.before, TENANTS[CHUNK - AHEAD])
        assert server.is_reading.wait(PATIENCE_S)
        known = [threads.submit(catalogs.before, tenant) for tenant in TENANTS[1:CHUNK]]
        try:
            assert all(one.result(PATIENCE_S) is not None for one in known)
            assert not reader.done()
        finally:
            server.let_go.set()
        assert reader.result(PATIENCE_S) is not None
    assert len(server.read) == 2


def test_a_tenant_out_of_line_or_without_schema_is_read_by_itself() -> None:
    server = Server()
    catalogs = Catalogs(server.outlines)
    for tenant in ("gone", "gone", "other", "other"):
        assert (catalogs.before(tenant) is None) == (tenant == "gone")
    assert server.read == [["gone"], ["other"]]
    catalogs.expect(["a", "b"])
    assert catalogs.before("other") is not None
    assert server.read[2] == ["other", "b"]


def test_what_failed_to_be_read_ahead_is_read_when_it_is_needed() -> None:
    server = Server()
    fails = [False]

    def outlines(schemas: Sequence[str]) -> Mapping[str, Outline]:
        if fails[0]:
            raise OSError("gone")
        return server.outlines(schemas)

    catalogs = Catalogs(outlines)
    catalogs.expect(TENANTS)
    catalogs.before(TENANTS[0])
    fails[0] = True
    try:
        catalogs.before(TENANTS[CHUNK - 1])
    except OSError:
        fails[0] = False
    assert not fails[0]
    assert catalogs.before(TENANTS[CHUNK]) is not None
