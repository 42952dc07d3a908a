"""The fleet: what an application or the command line asks for; drives the rooms below.

Knows no terminal: it returns data and raises errors.
"""
