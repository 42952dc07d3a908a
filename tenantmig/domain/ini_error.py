"""What Python's configparser refuses, in words without a value of the ini: it may be a password."""

from __future__ import annotations

import configparser


def say_ini_error(error: configparser.Error | UnicodeDecodeError) -> str:
    """Say what is wrong with an ini, where it stands, and what to write."""
    match error:
        case configparser.InterpolationMissingOptionError():
            return (
                f"{_where(error)} holds %(…)s with a name that the ini does not have; Alembic reads"
                f" no environment variable there. Write %% for a percent sign{_instead(error)}."
            )
        case configparser.InterpolationError():
            return (
                f"{_where(error)} holds a % that an ini reads as its own; write %% for a percent"
                f" sign{_instead(error)}."
            )
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno} stands before the first section; begin with [alembic]"
        case configparser.ParsingError():
            return f"line {error.errors[0][0]} is neither a [section] nor key = value"
        case configparser.DuplicateOptionError():
            return f"line {error.lineno}: `{error.option}` stands twice in [{error.section}]"
        case configparser.DuplicateSectionError():
            return f"line {error.lineno}: the section [{error.section}] stands twice"
        case configparser.NoSectionError():
            return f"there is no section [{error.section}]"
        case UnicodeDecodeError():
            return f"it is not UTF-8 (byte {error.start})"
    return f"a {type(error).__name__}"


def say_error(error: BaseException) -> object:
    """Return what an exception says, in words without a value where it is configparser's."""
    return say_ini_error(error) if isinstance(error, configparser.Error) else error


def _where(error: configparser.InterpolationError) -> str:
    return f"`{error.option}` in [{error.section}]"


def _instead(error: configparser.InterpolationError) -> str:
    if error.option != "sqlalchemy.url":
        return ""
    return " (%%40 for an escaped @), or give the database in TENANTMIG_DATABASE_URL"
