"""Storage parameters: the options of columns and relations that PostgreSQL documents. Pure.

A server may keep options of its own beside them: since November 2026 `pg_attver` stands in
`pg_attribute.attoptions` of every column (15.20 and its siblings), another value for each table.
No statement sets those, so no two schemas have the same; catalogs are compared without them.
"""

from __future__ import annotations

from typing import Final

INTERNAL: Final = ("pg_attver",)
"""Options of the server itself, by name."""
OF_COLUMNS: Final = ("n_distinct", "n_distinct_inherited")
"""What ALTER TABLE ... ALTER COLUMN ... SET (...) documents."""
_OF_TABLES = (
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "autovacuum_enabled",
    "autovacuum_freeze_max_age",
    "autovacuum_freeze_min_age",
    "autovacuum_freeze_table_age",
    "autovacuum_multixact_freeze_max_age",
    "autovacuum_multixact_freeze_min_age",
    "autovacuum_multixact_freeze_table_age",
    "autovacuum_parallel_workers",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_insert_scale_factor",
    "autovacuum_vacuum_insert_threshold",
    "autovacuum_vacuum_max_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "fillfactor",
    "log_autoanalyze_min_duration",
    "log_autovacuum_min_duration",
    "parallel_workers",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_max_eager_freeze_failure_rate",
    "vacuum_truncate",
)
_OF_INDEXES = (
    "autosummarize",
    "buffering",
    "deduplicate_items",
    "fastupdate",
    "gin_pending_list_limit",
    "pages_per_range",
)
_OF_VIEWS = ("check_option", "security_barrier", "security_invoker")
OF_RELATIONS: Final = (*_OF_TABLES, *_OF_INDEXES, *_OF_VIEWS)
"""What CREATE TABLE, CREATE INDEX and CREATE VIEW document in WITH (...), PostgreSQL 14 to 19.

An access method of an extension has options of its own; those are compared as they are.
"""
PARAMETERS: Final = {
    "of_columns": list(OF_COLUMNS),
    "of_relations": list(OF_RELATIONS),
    "internal": list(INTERNAL),
}
"""The lists, as the queries that read catalogs take them."""
