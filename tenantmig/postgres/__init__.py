"""PostgreSQL: connections, the tenant session, version tables, tenant schemas, what errors mean.

Knows what the server does and nothing of runs, of the ledger or of Alembic's scripts.
"""
