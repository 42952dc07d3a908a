"""History: Alembic's scripts, read, checked, proved and written; and the files that `init` makes.

Connects to no database and starts no process.
"""
