"""Redaction: every secret that this process may know, taken out of what is told and kept.

The one place that knows where secrets come from: the URL, the variables and files of libpq, and our
own variables. Knows no database; the environment is handed in.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

SECRET_PARAMETERS: Final = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
SECRET_VARIABLES: Final = ("PGPASSWORD", "PGSSLPASSWORD", "TENANTMIG_BACKUP_KEY")
COMMAND_VARIABLE: Final = "TENANTMIG_PASSWORD_COMMAND"
URL_VARIABLE: Final = "TENANTMIG_DATABASE_URL"
HIDDEN: Final = "***"
USERINFO: Final = re.compile(r"(?<=://)([^\s/?#@:]*):([^\s/?#]*)(?=@)")
SECRET_IN_QUERY: Final = re.compile(
    rf"(?i)([?&](?:{'|'.join(sorted(SECRET_PARAMETERS))})=)[^&#\s]*"
)
PASSFILE_FIELD: Final = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")


def find_secrets(parameters: Mapping[str, str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets that a connection with these libpq parameters may use.

    Those of the URL, of the variables, of the service file and of the passfile (PostgreSQL docs,
    34.15 to 34.17), and those of ours. A file that cannot be read has none.
    """
    service = _service(parameters, environment)
    given = {**service, **parameters}
    found = [part[key] for part in (parameters, service) for key in SECRET_PARAMETERS & part.keys()]
    found += [environment[key] for key in SECRET_VARIABLES if key in environment]
    found += [unquote(match[2]) for match in USERINFO.finditer(environment.get(URL_VARIABLE, ""))]
    found += _passwords_of_file(given, environment)
    return tuple(dict.fromkeys(filter(None, found)))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets, however they are spelled in it, as far as is known."""
    for secret in sorted(secrets, key=len, reverse=True):
        if _beginning(secret).search(text):
            text = _spellings(secret).sub(HIDDEN, text)
    return text


def redact_line(text: str, secrets: tuple[str, ...]) -> str:
    """Do the same, and return it on one line that PostgreSQL can keep: no NUL, no surrogates."""
    text = text.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode()
    return redact(" ".join(redact(text, secrets).split()), secrets)


def without_secrets(environment: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Return an environment for a program that needs no secret of ours.

    URLs lose their passwords; PGPASSFILE and the like stay, so that libpq may still find one.
    """
    taken = {*SECRET_VARIABLES, COMMAND_VARIABLE}
    kept = {key: value for key, value in environment.items() if key not in taken}
    known = [_spellings(secret) for secret in secrets]

    def is_known(password: str) -> bool:
        return any(secret.fullmatch(password) for secret in known)

    def without(found: re.Match[str]) -> str:
        return found[1] if is_known(found[2]) else found[0]

    cleaned = {key: USERINFO.sub(without, value) for key, value in kept.items()}
    if URL_VARIABLE in cleaned:  # all that stands in ours is ours
        ours = USERINFO.sub(r"\1", cleaned[URL_VARIABLE])
        cleaned[URL_VARIABLE] = SECRET_IN_QUERY.sub(r"\1", ours)
    return cleaned


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    """Match a secret as it is, percent-encoded in whole or part, quoted, or escaped."""
    return re.compile("".join(_spelled(part) for part in re.findall(r"\s+|\S", secret)))


@cache
def _beginning(secret: str) -> re.Pattern[str]:
    """Match how a secret begins: the whole pattern of a token of 2,000 characters takes a second to
    make, and is needed only where this one is found."""
    return re.compile("".join(_spelled(part) for part in re.findall(r"\s+|\S", secret)[:12]))


def _spelled(part: str) -> str:
    if part.isspace():  # a run of them may have become one
        spelled = "|".join(f"{_percent(char)}|{_escapes(char)}" for char in sorted(set(part)))
        return rf"(?:\s|\+|{spelled})+"
    doubled = rf"{re.escape(part)}{{2}}|" if part in "'\"\\" else ""
    backslash = rf"\\{re.escape(part)}|" if not part.isalnum() else ""
    return f"(?:{doubled}{backslash}{re.escape(part)}|{_percent(part)}|{_escapes(part)})"


def _percent(char: str) -> str:
    """Match percent-encoding, also of what is encoded already."""
    raw = char.encode("utf-8", "surrogatepass")
    return "".join(f"(?i:%(?:25)*{byte:02x})" for byte in raw)


def _escapes(part: str) -> str:
    """Match the escapes of JSON and of Python."""
    said = []
    for char in part:
        number = ord(char)
        wide = char.encode("utf-16-be", "surrogatepass").hex()
        json = "".join(rf"\\u{wide[at : at + 4]}" for at in range(0, len(wide), 4))
        short = {"\t": r"\\t|", "\n": r"\\n|", "\r": r"\\r|"}.get(char, "")
        byte = rf"\\x{number:02x}|" if number <= 0xFF else ""
        said.append(rf"(?i:{short}{byte}{json}|\\U{number:08x})")
    return "".join(said)


# -- files of libpq -------------------------------------------------------------------------------


def _service(parameters: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of the service that is named, if any."""
    name = parameters.get("service") or environment.get("PGSERVICE")
    if not name:
        return {}
    for path in _service_files(parameters, environment):
        parser = configparser.ConfigParser(
            interpolation=None, strict=False, delimiters=("=",), default_section="\0"
        )
        try:
            parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
        except (OSError, configparser.Error):
            continue
        if parser.has_section(name):
            return dict(parser.items(name))
    return {}


def _service_files(parameters: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[Path]:
    named = parameters.get("servicefile") or environment.get("PGSERVICEFILE")
    yield Path(named) if named else _home(environment) / ".pg_service.conf"
    if "PGSYSCONFDIR" in environment:
        yield Path(environment["PGSYSCONFDIR"]) / "pg_service.conf"


def _passwords_of_file(given: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Return the passwords of the passfile that may be meant for this connection."""
    named = given.get("passfile") or environment.get("PGPASSFILE")
    path = Path(named) if named else _home(environment) / ".pgpass"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    wanted = (
        {*given.get("host", environment.get("PGHOST", "")).split(","), *_words(given, "hostaddr")},
        set(given.get("port", environment.get("PGPORT", "")).split(",")),
        {given.get("dbname", environment.get("PGDATABASE", ""))},
        {given.get("user", environment.get("PGUSER", ""))},
    )
    return list(_matching(text.splitlines(), wanted))


def _words(given: Mapping[str, str], key: str) -> list[str]:
    return given[key].split(",") if key in given else []


def _matching(lines: Iterable[str], wanted: tuple[set[str], ...]) -> Iterator[str]:
    for line in lines:
        if line.startswith("#"):
            continue
        fields = [re.sub(r"\\(.)", r"\1", found[1]) for found in PASSFILE_FIELD.finditer(line)]
        if len(fields) < 5:
            continue
        # what is not given libpq finds out by itself: it may be meant
        if all(
            field == "*" or field in names or "" in names or field == "localhost"
            for field, names in zip(fields[:4], wanted, strict=True)
        ):
            yield fields[4]


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or "/")
