"""Rollout: from a plan to its outcome: waves, claims, attempts, settlement, one run in the ledger.

Knows the engines by their protocol. Does not read settings or know which command was given.
"""
