"""Catalog: what a schema holds, as text and as one number, and the DDL of one object.

Knows no history, no run and no ledger.
"""
