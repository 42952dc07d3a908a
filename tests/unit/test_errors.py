"""Errors: each can be read by a user and cross a process boundary."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import tenantmig
from tenantmig import errors
from tenantmig.errors import IrreversibleRevisionError, TenantmigError, irreversible


def _below(parent: type[TenantmigError]) -> Iterator[type[TenantmigError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from _below(child)


for _module in pkgutil.walk_packages(tenantmig.__path__, "tenantmig."):
    importlib.import_module(_module.name)

ERRORS = {error.__name__: error for error in _below(TenantmigError)}
every_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


@every_error
def test_every_error_lives_in_the_errors_module(error: type[TenantmigError]) -> None:
    assert getattr(errors, error.__name__) is error


@every_error
def test_the_docstring_is_the_default_message(error: type[TenantmigError]) -> None:
    assert error().message == str(error()) == error.__doc__
    assert error("other").message == str(error("other")) == "other"


@every_error
def test_the_default_message_is_one_sentence(error: type[TenantmigError]) -> None:
    message = error().message
    assert message[0].isupper() or message.startswith("tenantmig")
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message.split()) >= 3


@every_error
@pytest.mark.parametrize("message", [None, 'The tenant "é" is 100% <b>gone</b>.'])
def test_errors_survive_pickling(error: type[TenantmigError], message: str | None) -> None:
    copy = pickle.loads(pickle.dumps(error(message)))  # noqa: S301  dumped here
    assert type(copy) is error
    assert copy.message == error(message).message


@every_error
def test_no_refusal_exits_with_0(error: type[TenantmigError]) -> None:
    assert error.exit_code in {2, 3, 4, 5}


def test_irreversible_refuses_with_its_reason() -> None:
    with pytest.raises(IrreversibleRevisionError, match=r"cannot be downgraded: rows are gone\.$"):
        irreversible("rows are gone.")
