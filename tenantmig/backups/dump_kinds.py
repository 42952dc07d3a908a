"""What a tenant's backup is made of: kinds of statements, objects and settings. Pure."""

from __future__ import annotations

from enum import Enum, auto


class Turn(Enum):
    """When a statement of a backup is run, and by whom."""

    SKIP = auto()
    """Never: a setting of the session, which is ours."""
    SETTING = auto()
    """Where it stands: a setting that says how the next table is kept."""
    MAKE = auto()
    """Where it stands, as the owner of the schema."""
    FILL = auto()
    """Where it stands, with rows, as the owner of the schema."""
    CLASS = auto()
    """Where it stands: an operator class, which only a superuser may make."""
    BIND = auto()
    """Behind all that is made: a foreign key to a schema outside."""
    DEFER = auto()
    """Behind all code of the tenant: a constraint trigger."""
    OWN = auto()
    """Behind all others: owners, then privileges, then what materialized views hold."""
    GRANT = auto()
    REFRESH = auto()


SETTINGS = {
    "client_encoding": ("UTF8",),
    "standard_conforming_strings": ("on",),
    "check_function_bodies": ("false",),
    "xmloption": ("content",),
    "client_min_messages": ("warning",),
    "row_security": ("off", "on"),
    "default_with_oids": ("false",),
}
TIMEOUTS = frozenset(
    {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
     "transaction_timeout"}
)  # fmt: skip
OF_TABLES = frozenset({"default_tablespace", "default_table_access_method"})
LANGUAGES = frozenset({"sql", "plpgsql", "plperl", "pltcl", "plv8"})
ROLES = frozenset({"role", "session_authorization"})
CHANGES = frozenset(
    "AT_" + name
    for name in (
        "AddConstraint", "AddIdentity", "AddIndexConstraint", "AttachPartition", "ChangeOwner",
        "ClusterOn", "ColumnDefault", "DisableRowSecurity", "DisableRule", "DisableTrig",
        "EnableAlwaysRule", "EnableAlwaysTrig", "EnableReplicaRule", "EnableReplicaTrig",
        "EnableRowSecurity", "EnableRule", "EnableTrig", "ForceRowSecurity", "ReplicaIdentity",
        "SetCompression", "SetNotNull", "SetOptions", "SetRelOptions", "SetStatistics",
        "SetStorage",
    )
)  # fmt: skip
OBJECTS = frozenset(
    "OBJECT_" + name
    for name in (
        "AGGREGATE", "COLLATION", "COLUMN", "CONVERSION", "DOMAIN", "DOMCONSTRAINT", "FUNCTION",
        "INDEX", "MATVIEW", "OPCLASS", "OPERATOR", "OPFAMILY", "POLICY", "PROCEDURE", "ROUTINE",
        "RULE", "SCHEMA", "SEQUENCE", "STATISTIC_EXT", "TABCONSTRAINT", "TABLE", "TRIGGER",
        "TSCONFIGURATION", "TSDICTIONARY", "TYPE", "VIEW",
    )
)  # fmt: skip
DEFINED = frozenset(
    "OBJECT_" + name
    for name in ("AGGREGATE", "OPERATOR", "COLLATION", "TSCONFIGURATION", "TSDICTIONARY", "TYPE")
)
NAMED_BY = {
    "alter_op_family_stmt": "opfamilyname", "alter_stats_stmt": "defnames",
    "alter_tsconfiguration_stmt": "cfgname", "create_conversion_stmt": "conversion_name",
    "create_domain_stmt": "domainname", "create_enum_stmt": "type_name",
    "create_op_class_stmt": "opclassname", "create_op_family_stmt": "opfamilyname",
    "create_range_stmt": "type_name", "create_stats_stmt": "defnames",
}  # fmt: skip
RELATION_OF = {
    "alter_seq_stmt": "sequence", "composite_type_stmt": "typevar", "create_policy_stmt": "table",
    "create_seq_stmt": "sequence", "create_stmt": "relation",
    "rule_stmt": "relation", "view_stmt": "view",
}  # fmt: skip
CODE = frozenset(
    "OBJECT_" + name for name in ("FUNCTION", "PROCEDURE", "ROUTINE", "VIEW", "MATVIEW")
)
"""What runs with the rights of its owner, or may."""

BOUND = frozenset({"create_op_class_stmt", "create_op_family_stmt", "alter_op_family_stmt"})
