"""The ledger: runs, the journal, parts of revisions, what is on record, and the SQL for all of it.

Knows no Alembic and no engine: it writes what it is told and reads what is there.
"""
