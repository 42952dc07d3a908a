"""Which functions of the project's are taken for such as place tables, by their names."""

from __future__ import annotations

import pytest

from tenantmig.history.adaptation.leftovers import CALLED

PLACING = (
    "set_search_path",
    "get_searchpath",
    "create_schema",
    "createSchema",
    "CreateTenantSchema",
    "_create_schema",
    "create_tenant_schema",
    "ensure_tenant_schema",
    "maybe_drop_schema",
    "init_schema",
    "setup_schema",
    "set_tenant_schema",
    "set_tenant",
    "setTenant",
    "reset_schema",
    "use_tenant",
    "useTenant",
    "use_user_schema",
    "switch_tenant",
    "switch_to_tenant",
)
OTHERS = (
    "load_user_tenant_models",
    "dataset_schema",
    "create_engine_for_schema",
    "make_engine_of_schema",
    "use_engine_for_tenant",
    "user_schema",
    "users_of_tenant",
    "settings_schema",
    "initial_schema",
    "created_schema",
    "offset_of_tenant",
    "get_schema",
    "tenant_of",
)


@pytest.mark.parametrize("name", PLACING)
def test_a_name_that_begins_with_such_an_act_is_found(name: str) -> None:
    assert CALLED.search(name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_that_only_holds_the_letters_is_let_be(name: str) -> None:
    assert not CALLED.search(name)
