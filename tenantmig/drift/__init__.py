"""Drift: scratch schemas, references made from the history, and how tenants differ from them.

Changes no tenant. Knows no rollout.
"""
