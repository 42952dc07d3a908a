"""Backups: dump files of one tenant, what they may hold, restoring one, and the client programs.

Knows no history and no run.
"""
