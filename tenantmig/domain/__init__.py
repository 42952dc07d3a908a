"""Domain: the words of the glossary as plain data, and the texts that settings are made of.

Tenant, lineage, plan, outcome, failure, events, waves, the database URL. Knows no database, no
Alembic and no other room. A room exports nothing: other rooms import its modules by name, so that
a command loads what it uses and no more.
"""
