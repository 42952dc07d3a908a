"""What Python's configparser refuses, in words without a value of the ini: it may be a password."""

from __future__ import annotations

import configparser


def say_ini_error(error: configparser.Error | UnicodeDecodeError) -> str:
    """Say what is wrong with an ini, where it stands, and what to write."""
    match error:
        case configparser.InterpolationMissingOptionError():
            return (
                f"{_where(error)} contains %(…)s with a name that the ini does not define; "
                "Alembic does not read environment variables there. Write %% for a percent "
                f"sign{_instead(error)}."
            )
        case configparser.InterpolationError():
            return (
                f"{_where(error)} contains a single %, which has a meaning of its own in an "
                f"ini; write %% for a percent sign{_instead(error)}."
            )
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno} is before the first section; begin with [alembic]"
        case configparser.ParsingError():
            return f"line {error.errors[0][0]} is neither a [section] nor key = value"
        case configparser.DuplicateOptionError():
            return f"line {error.lineno}: `{error.option}` appears twice in [{error.section}]"
        case configparser.DuplicateSectionError():
            return f"line {error.lineno}: the section [{error.section}] appears twice"
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
    return " (%%40 for an escaped @), or set the URL in TENANTMIG_DATABASE_URL"
