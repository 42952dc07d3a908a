"""Secrets: found wherever libpq and we would find them, and taken out however they are spelled."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.redaction import find_secrets, redact, redact_line, without_secrets
from tenantmig.settings import load_settings

SECRET = "Zq'p\\ w/ö%41\"🦊qZ"  # noqa: S105  no one's
URL = "postgresql://app@db:5433/main"


def _sources(folder: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Each place a secret may stand in: a URL and an environment."""
    escaped = SECRET.replace("\\", "\\\\").replace(":", "\\:")
    (folder / "pass").write_text(f"# c\nother:1:x:y:no\ndb:5433:main:app:{escaped}\n")
    (folder / "any").write_text(f"*:*:*:*:{escaped}\n")
    (folder / "services").write_text(f"[prod]\nhost=db\npassword={SECRET}\n[test]\npassword=no\n")
    (folder / ".pgpass").write_text(f"db:*:*:app:{escaped}\n")
    (folder / ".pg_service.conf").write_text(f"[prod]\npassfile={folder / 'any'}\n")
    home = {"HOME": "/nowhere"}
    return {
        "URL": (f"postgresql://app:{quote(SECRET, safe='')}@db/main", home),
        "URL of the environment": (
            URL,
            home | {"TENANTMIG_DATABASE_URL": f"postgresql://a:{quote(SECRET, safe='')}@b/c"},
        ),
        "PGPASSWORD": (URL, home | {"PGPASSWORD": SECRET}),
        "PGSSLPASSWORD": (URL, home | {"PGSSLPASSWORD": SECRET}),
        "backup key": (URL, home | {"TENANTMIG_BACKUP_KEY": SECRET}),
        "PGPASSFILE": (URL, home | {"PGPASSFILE": str(folder / "pass")}),
        "passfile of the URL": (f"{URL}?passfile={folder / 'any'}", home),
        "passfile of home": (URL, {"HOME": str(folder)}),
        "service": (
            f"{URL}?service=prod",
            home | {"PGSERVICEFILE": str(folder / "services")},
        ),
        "PGSERVICE": (URL, {"PGSERVICE": "prod", "PGSERVICEFILE": str(folder / "services")}),
        "passfile of a service of home": (URL, {"HOME": str(folder), "PGSERVICE": "prod"}),
    }


def test_every_source_is_known(tmp_path: Path) -> None:
    for name, (url, environment) in _sources(tmp_path).items():
        parsed = DatabaseUrl.parse(url, environment)
        assert SECRET in parsed.secrets, name
        assert "no" not in parsed.secrets, name
        assert parsed.redact(f"refused: {SECRET}!") == "refused: ***!", name
        assert "Zq" not in repr(parsed), name


@pytest.mark.parametrize(
    "spell",
    [
        str,
        quote,
        quote_plus,
        lambda text: quote(text, safe="").lower().replace("zq", "Zq").replace("qz", "qZ"),
        lambda text: quote(quote(text, safe=""), safe=""),
        lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
        lambda text: text.replace("'", "''"),
        lambda text: text.replace('"', '""'),
        lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
        lambda text: repr(text)[1:-1],
        lambda text: ascii(text)[1:-1],
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    ],
    ids=range(13),
)
def test_every_spelling_is_found(spell: object) -> None:
    assert callable(spell)
    told = redact(f"before {spell(SECRET)} after", (SECRET,))
    assert told == "before *** after"


def test_a_longer_secret_is_taken_out_whole() -> None:
    assert redact_line("a pass\npassword b", ("pass", "password")) == "a *** *** b"


def test_a_line_can_be_kept_by_postgresql() -> None:
    assert redact_line("a\0b \ud800\n ö", ()) == r"a\x00b \ud800 ö"


def test_files_that_cannot_be_read_have_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\xff\xfe[x\n=\n")
    environment = {"PGPASSFILE": str(tmp_path), "PGSERVICE": "x"}
    environment["PGSERVICEFILE"] = str(tmp_path / "broken")
    assert find_secrets({}, environment) == ()


def test_a_program_gets_an_environment_without_secrets() -> None:
    encoded = quote(SECRET, safe="")
    environment = {
        "TENANTMIG_DATABASE_URL": "postgresql://app:other@db/x?sslpassword=y&sslmode=require",
        "DATABASE_URL": f"postgres://app:{encoded}@db/x",
        "STRANGER_URL": "https://me:mine@example.com/",
        "PGPASSWORD": SECRET,
        "TENANTMIG_BACKUP_KEY": base64.b64encode(b"key").decode(),
        "TENANTMIG_PASSWORD_COMMAND": "cat /run/secret",
        "PGPASSFILE": "/run/pass",
        "PATH": "/bin",
    }
    assert without_secrets(environment, (SECRET,)) == {
        "TENANTMIG_DATABASE_URL": "postgresql://app@db/x?sslpassword=&sslmode=require",
        "DATABASE_URL": "postgres://app@db/x",
        "STRANGER_URL": "https://me:mine@example.com/",
        "PGPASSFILE": "/run/pass",
        "PATH": "/bin",
    }


def test_settings_know_secrets_also_where_the_url_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("TENANTMIG_DATABASE_URL", "mysql://a:Zhidden@b/c")
    settings = load_settings()
    assert settings.redact(f"{SECRET} and\nZhidden") == "*** and ***"
