"""A sign-up service that gives each new customer a tenant schema: tenantmig as a library.

`Fleet` is safe to use from several threads. Opened with `with`, it keeps its worker processes, so
that a sign-up does not wait for one to start.
"""

from __future__ import annotations

from collections.abc import Callable

from tenantmig import Fleet, RunOptions, RunReport, Selection, TenantmigError, TenantOutcome
from tenantmig.domain.events import Event, TenantFinished


class SignupError(Exception):
    """The customer cannot be signed up; the message may be shown to them."""


def sign_up(fleet: Fleet, customer: str) -> str:
    """Give a customer a tenant schema at the head of the history, and return the schema's name.

    Raises:
        SignupError: the name is taken or not allowed, or the schema could not be made. Nothing
            is left of a failed sign-up.
    """
    try:
        report = fleet.onboard([customer])
    except TenantmigError as error:
        raise SignupError(error.message) from error
    outcome = report.tenants[0]
    if not outcome.outcome.is_at_target:
        raise SignupError(f"Please try again later ({outcome.error}).")
    return outcome.schema


def roll_release(fleet: Fleet, tell: Callable[[str], None]) -> RunReport:
    """Roll all tenants to the head, telling of each as it finishes."""

    def on_event(event: Event) -> None:
        if isinstance(event, TenantFinished):
            tell(f"{event.done}/{event.pending} {_line(event.outcome)}")

    return fleet.upgrade("head", options=RunOptions(on_event=on_event))


def _line(outcome: TenantOutcome) -> str:
    return f"{outcome.tenant} {outcome.outcome}"


def behind(fleet: Fleet) -> list[str]:
    """Name the active tenants that are not at the head."""
    status = fleet.status(Selection(is_all=True))
    return [found.tenant.name for found in status.tenants if found.pending]
