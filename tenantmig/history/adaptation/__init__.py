"""Adaptation: what an existing env.py must change to serve tenants (`init --adapt`).

Reads and writes Python text; imports nothing of the project and asks no database.
"""
