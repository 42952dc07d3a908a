"""Failures are classified by phase, connection and SQLSTATE: hazards 2.2, row by row."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.failure import Failure, FailureKind, Phase, classify
from tenantmig.postgres.diagnosis import explain

K, P = FailureKind, Phase
BEFORE_COMMIT = [P.PREPARE, P.TRANSACTION]
ANY = list(Phase)
LOST = ["57P01", "57P02", "57P05", "08000", "08003", "08006", "25P03", "25P04"]


def rows(phases: Sequence[Phase], sqlstates: Sequence[str | None]) -> pytest.MarkDecorator:
    """Every pair of a row of the table."""
    pairs = [(phase, sqlstate) for phase in phases for sqlstate in sqlstates]
    return pytest.mark.parametrize(("phase", "sqlstate"), pairs)


@rows(BEFORE_COMMIT, ["55P03", "40P01", "40001"])
def test_locks_deadlocks_and_conflicts_are_tried_again(phase: Phase, sqlstate: str) -> None:
    kind = classify(phase, sqlstate, is_broken=False)
    assert Failure(kind, "").is_retryable
    assert (kind is K.LOCKED) == (sqlstate == "55P03")


@rows(ANY[1:], ["57014"])
def test_a_cancelled_statement_is_not_tried_again(phase: Phase, sqlstate: str) -> None:
    assert classify(phase, sqlstate, is_broken=False) is K.PERMANENT


@rows(BEFORE_COMMIT, ["XX000", "23505", "42P06", "42P07", "42710"])
def test_catalog_races_are_tried_again(phase: Phase, sqlstate: str) -> None:
    assert classify(phase, sqlstate, is_broken=False, is_catalog=True) is K.TRANSIENT
    assert classify(phase, sqlstate, is_broken=False) is K.PERMANENT


@rows([P.CONNECT], ["53300", "57P03", "08001", "08004", None])
def test_nothing_was_sent_where_connecting_failed(phase: Phase, sqlstate: str | None) -> None:
    assert classify(phase, sqlstate, is_broken=True) is K.TRANSIENT


@rows(BEFORE_COMMIT, LOST)
def test_a_loss_before_commit_rolled_back(phase: Phase, sqlstate: str) -> None:
    assert classify(phase, sqlstate, is_broken=True) is K.TRANSIENT
    assert classify(phase, sqlstate, is_broken=False) is K.TRANSIENT


@rows([P.COMMIT, P.AUTOCOMMIT], [*LOST, None])
def test_a_loss_in_commit_or_outside_is_ambiguous(phase: Phase, sqlstate: str | None) -> None:
    kind = classify(phase, sqlstate, is_broken=True)
    assert kind is K.LOST_COMMIT
    assert Failure(kind, "").is_retryable  # under the lock, after reading


@rows(BEFORE_COMMIT, [None])
def test_a_crash_without_sqlstate_rolled_back(phase: Phase, sqlstate: None) -> None:
    assert classify(phase, sqlstate, is_broken=True) is K.TRANSIENT


@rows([P.TRANSACTION, P.COMMIT, P.AUTOCOMMIT], ["40002", "40003", "08007"])
@pytest.mark.parametrize("is_broken", [False, True])
def test_a_server_that_does_not_know_is_ambiguous(
    phase: Phase, sqlstate: str, is_broken: bool
) -> None:
    assert classify(phase, sqlstate, is_broken=is_broken) is K.LOST_COMMIT


@rows(BEFORE_COMMIT, ["53200"])
def test_a_full_lock_table_is_of_its_own(phase: Phase, sqlstate: str) -> None:
    kind = classify(phase, sqlstate, is_broken=False)
    assert kind is K.CROWDED
    assert Failure(kind, "").is_retryable  # alone, see `attempts`


@rows(BEFORE_COMMIT, ["26000"])
def test_lost_statements_and_memory_are_tried_again(phase: Phase, sqlstate: str) -> None:
    assert classify(phase, sqlstate, is_broken=False) is K.TRANSIENT


@rows(
    ANY, ["53100", "53400", "58030", "XX001", "XX002", "25006", "57P04", "28000", "28P01", "3D000"]
)
@pytest.mark.parametrize("is_broken", [False, True])
def test_what_no_tenant_survives_stops_the_run(
    phase: Phase, sqlstate: str, is_broken: bool
) -> None:
    assert classify(phase, sqlstate, is_broken=is_broken) is K.RUN


@rows(
    [*BEFORE_COMMIT, P.AUTOCOMMIT],
    [
        "42501",
        "22012",
        "23505",
        "23503",
        "42P07",
        "42601",
        "42703",
        "55P04",
        "2BP01",
        "3F000",
        "25001",
        "0A000",
        "P0001",
    ],
)
def test_the_same_sql_would_fail_again(phase: Phase, sqlstate: str) -> None:
    kind = classify(phase, sqlstate, is_broken=False)
    assert kind is K.PERMANENT
    assert not Failure(kind, "").is_retryable


@rows(BEFORE_COMMIT, [None, "ZZ999"])
def test_the_unknown_is_permanent_before_commit(phase: Phase, sqlstate: str | None) -> None:
    assert classify(phase, sqlstate, is_broken=False) is K.PERMANENT


@rows([P.COMMIT], [None, "ZZ999"])
def test_the_unknown_is_ambiguous_in_commit(phase: Phase, sqlstate: str | None) -> None:
    assert classify(phase, sqlstate, is_broken=False) is K.LOST_COMMIT


@rows([P.COMMIT], ["23503", "23505", "P0001"])
def test_a_deferred_check_that_refuses_the_commit_is_permanent(phase: Phase, sqlstate: str) -> None:
    assert classify(phase, sqlstate, is_broken=False) is K.PERMANENT


def test_what_psycopg_itself_refuses_is_not_a_lost_connection() -> None:
    url = DatabaseUrl.parse("postgresql://app@127.0.0.1/app")
    refused = psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed")
    assert explain(refused, None, url).kind is FailureKind.PERMANENT
    lost = psycopg.OperationalError("the connection is lost")
    assert explain(lost, None, url).is_retryable
