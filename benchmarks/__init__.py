"""Speeds, measured side by side on one server in one run: `python -m benchmarks`.

Not part of the tests: a test asserts behaviour, never a wall-clock time.
"""
