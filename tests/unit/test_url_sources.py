"""Where the URL and the password come from: a function, a command, the ini; nothing of it shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantmig.cli.app import app
from tenantmig.cli.exits import BUG, run
from tenantmig.domain.password_command import KEPT, PasswordCommand
from tenantmig.errors import ConnectError, DatabaseUrlError, SettingsError
from tenantmig.fleet.fleet import Fleet
from tenantmig.history.revisions import History
from tenantmig.settings import load_settings

INI = "[alembic]\nscript_location = %(here)s/alembic\n"
MODULE = """
import enum, sqlalchemy
from pydantic import SecretStr
URL = "postgresql://app:hunter2@db/x"
MADE = sqlalchemy.URL.create("postgresql+asyncpg", "app", "hun@/%2", "db", database="x")
class settings: url = SecretStr(URL)
calls = []
def database_url():
    calls.append(1)
    return URL
def none(): return None
async def later(): return URL
def broken(): raise ValueError(URL)
def wants(x): return URL
class Settings:
    def __init__(self):
        calls.append(1)
        self.url = SecretStr(URL)
import functools
@functools.lru_cache
def get_settings(): return Settings()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("TENANTMIG_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    (tmp_path / "alembic.ini").write_text(INI)
    (tmp_path / "urls_of_a_project.py").write_text(MODULE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before
    sys.modules.pop("urls_of_a_project", None)


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "path", ["settings.url", "get_settings.url", "Settings.url", "calls.count", "get_settings.no"]
)
def test_a_url_from_what_a_function_or_class_makes(folder: Path, path: str) -> None:
    named = f"urls_of_a_project:{path}"
    settings = load_settings(config=folder / "alembic.ini", database_url=named)
    if path.endswith("url"):
        assert settings.url.secrets == ("hunter2",)
        return
    with pytest.raises(SettingsError, match="is written as module:function"):
        settings.url  # noqa: B018  read to see it refused


def test_a_module_of_a_package_is_found_on_the_way(folder: Path) -> None:
    package = folder / "pages_of_a_project"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "config.py").write_text("URL = 'postgresql://app:hunter2@db/x'\n")
    named = "pages_of_a_project:config.URL"
    settings = load_settings(config=folder / "alembic.ini", database_url=named)
    assert settings.url.secrets == ("hunter2",)
    assert "myapp.config:settings.database_url" in str(_refusal(folder))


def _refusal(folder: Path) -> SettingsError:
    with pytest.raises(SettingsError, match="No database URL is set") as caught:
        load_settings(config=folder / "alembic.ini").url  # noqa: B018  read to see it refused
    return caught.value


def test_a_url_from_a_function_or_a_constant(folder: Path) -> None:
    ini = folder / "alembic.ini"
    for name in ("database_url", "URL", "settings.url"):
        settings = load_settings(config=ini, database_url=f"urls_of_a_project:{name}")
        assert settings.url.parameters["password"] == "hunter2"  # noqa: S105
        assert settings.secrets == ("hunter2",)
        assert settings.url.database == "x"
    assert len(sys.modules["urls_of_a_project"].calls) == 1
    made = load_settings(config=ini, database_url="urls_of_a_project:MADE").url
    assert made.parameters["password"] == "hun@/%2"  # noqa: S105
    (folder / "tenantmig.toml").write_text('database_url = "urls_of_a_project:database_url"\n')
    assert load_settings(config=ini).url.parameters["host"] == "db"
    (folder / "src").mkdir()
    (folder / "src/urls_in_src.py").write_text("URL = 'postgresql://src/x'")
    ini.write_text(INI + "prepend_sys_path = %(here)s/src\n")
    found = load_settings(config=ini, database_url="urls_in_src:URL").url
    assert found.parameters["host"] == "src"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("no_such_module:url", "no such module next to the Alembic ini"),
        ("urls_of_a_project:hunter2", "does not exist in its module"),
        ("urls_of_a_project:none", "returns a NoneType instead of a URL"),
        ("urls_of_a_project:later", "returns a coroutine"),
        ("urls_of_a_project:broken", r"raised ValueError \(urls_of_a_project.py, line 13\)"),
        ("urls_of_a_project:wants", "raised TypeError"),
    ],
)
def test_a_function_that_gives_no_url(folder: Path, named: str, said: str) -> None:
    settings = load_settings(config=folder / "alembic.ini", database_url=named)
    with pytest.raises(SettingsError, match=said) as refused:
        _ = settings.url
    assert "hunter2" not in refused.value.message


def test_a_command_gives_the_password_anew_each_time(folder: Path) -> None:
    count = folder / "count"
    command = f"sh -c 'echo x >> {count}; echo token-$(wc -l < {count})'"
    url = load_settings(
        config=folder / "alembic.ini", database_url="postgresql://db/x", password_command=command
    ).url
    assert "password" not in url.parameters
    asked = [url.ask_parameters()["password"] for _ in range(KEPT + 2)]
    assert asked == [f"token-{number}" for number in range(1, KEPT + 3)]
    assert url.redact(f"a {asked[-1]} b {asked[3]}") == "a *** b ***"
    assert len(url.secrets) == KEPT
    assert "token-" not in repr(url) + str(url)


def test_the_url_and_the_command_must_agree(folder: Path) -> None:
    def url(text: str, command: str) -> object:
        ini = folder / "alembic.ini"
        return load_settings(config=ini, database_url=text, password_command=command).url

    with pytest.raises(DatabaseUrlError, match="Both `password_command` and the database URL"):
        url("postgresql://app:hunter2@db/x", "true")
    with pytest.raises(SettingsError, match="not a program on PATH"):
        url("postgresql://app@db/x", "no-such-program hunter2")
    with pytest.raises(SettingsError, match=r"`password_command` cannot be read: No closing"):
        url("postgresql://app@db/x", "echo 'hunter2")
    with pytest.raises(DatabaseUrlError, match="embedded PostgreSQL takes no password"):
        url("embedded:///folder", "true")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo hunter2; exit 3", "ended with exit code 3"),
        ("echo hunter2 >&2", "printed no password"),
        ("echo", "printed no password"),
        ("echo hunter2; echo hunter2", "printed more than one line"),
        (r"printf '\377hunter2'", "not UTF-8"),
    ],
)
def test_a_command_that_fails_shows_nothing(
    script: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command = PasswordCommand(("sh", "-c", script))
    with pytest.raises(ConnectError, match=said) as failed:
        command.ask()
    assert not any("hunter2" in text for text in _texts(failed.value))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sqlalchemy.url = postgresql://a:hun%40ter2@db/x\n", "`sqlalchemy.url` .* write %% for"),
        ("sqlalchemy.url = postgresql://a:%(HUNTER2)s@db/x\n", "Alembic does not read environment"),
        ("sqlalchemy.url = postgresql://a:hunter2%\n", "write %%"),
        ("sqlalchemy.url = %(b)s\nb = %(c)s hunter2\nc = %(b)s\n", "`.*` in .alembic"),
        ("x = hunter2\nx = hunter2\n", "line 4: `x` appears twice"),
        ("hunter2\n", "line 3 is neither"),
        ("script_location = %hunter2\n", "line 3: `script_location` appears twice"),
    ],
)
def test_an_ini_is_refused_without_its_values(folder: Path, text: str, said: str) -> None:
    ini = folder / "alembic.ini"
    ini.write_text(INI + text)
    with pytest.raises(SettingsError, match=said) as refused:
        _ = load_settings(config=ini).url
    assert not any("hunter2" in one.lower() or "ter2" in one for one in _texts(refused.value))
    assert "\n" not in refused.value.message


def test_other_values_of_the_ini_are_not_shown_either(folder: Path) -> None:
    ini = folder / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = hunter2%\n")
    with pytest.raises(SettingsError, match=r"`script_location` in .alembic.*%%") as refused:
        load_settings(config=ini, database_url="urls_of_a_project:URL").has_shared_lineage  # noqa: B018
    assert "hunter2" not in refused.value.message
    (folder / "alembic").mkdir()
    ini.write_text(INI + "file_template = hunter2%(year)d\n")
    with pytest.raises(SettingsError, match=r"`file_template` in .alembic") as refused:
        History(ini)
    assert "hunter2" not in refused.value.message


def test_a_url_of_the_ini_that_nobody_reads_is_not_refused(folder: Path) -> None:
    ini = folder / "alembic.ini"
    ini.write_text(INI + "sqlalchemy.url = postgresql://a:%(DB_PASS)s@db/x\n")
    settings = load_settings(config=ini, database_url="postgresql://db/y")
    assert settings.url.database == "y"
    assert not settings.has_shared_lineage


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("TENANTMIG_DATABSE_URL", "TENANTMIG_DATABASE_URL"),
        ("TENANTMIG_DB_URL", "TENANTMIG_DATABASE_URL"),
        ("TENANTMIG_URL", "TENANTMIG_DATABASE_URL"),
        ("TENANTMIG_LOCKTIMEOUT", "TENANTMIG_LOCK_TIMEOUT"),
        ("tenantmig_paralel", "TENANTMIG_PARALLEL"),
        ("TENANTMIG_LEDGER", "TENANTMIG_LEDGER_SCHEMA"),
        ("TENANTMIG__ENGINE", "TENANTMIG_ENGINE"),
    ],
)
def test_a_misspelt_variable_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, near: str
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(SettingsError, match=rf"{variable} does not name .* {near}\?") as refused:
        load_settings(config=folder / "alembic.ini")
    assert "hunter2" not in refused.value.message


def test_a_password_that_was_made_later_is_not_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(fleet: Fleet, *_: object) -> None:
        raise RuntimeError(f"connecting with {fleet.settings.url.ask_parameters()['password']}")

    monkeypatch.setattr(Fleet, "status", fails)
    (folder / "alembic.ini").write_text(INI + "sqlalchemy.url = postgresql://app@db/x\n")
    (folder / "tenantmig.toml").write_text("password_command = 'echo Zq-token-qZ'\n")
    assert run(app, ["--config", str(folder / "alembic.ini"), "status"]) == BUG
    told = capsys.readouterr()
    assert "RuntimeError: connecting with ***" in told.err
    assert "Zq-token" not in told.out + told.err


def test_variables_of_others_are_let_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "SERVICE_HOST", "PORT_5432_TCP_ADDR", "SERVICE_PORT", "TEST_SERVER"):
        monkeypatch.setenv(f"TENANTMIG_{name}", "tcp://10.0.0.1:5432")
    for name in ("WEB_SERVICE_HOST", "WEB_PORT", "WEB_PORT_80_TCP", "WEB_PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"TENANTMIG_{name}", "tcp://10.0.0.1:80")  # of a service tenantmig-web
    monkeypatch.setenv("tenantmig_attempts", "7")
    assert load_settings(config=folder / "alembic.ini").attempts == 7
    monkeypatch.setenv("TENANTMIG_DB_PORT", "5432")  # there is no such service
    with pytest.raises(SettingsError, match="TENANTMIG_DB_PORT does not name a setting"):
        load_settings(config=folder / "alembic.ini")
    monkeypatch.delenv("TENANTMIG_DB_PORT")
    (folder / "tenantmig.toml").write_text("atempts = 3\n")
    with pytest.raises(SettingsError, match="no such setting; did you mean `attempts`"):
        load_settings(config=folder / "alembic.ini")


def test_a_function_that_ends_the_process_or_prints_ends_and_spoils_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = folder / "urls_of_a_project.py"
    ends = 'def ends():\n    print("loading")\n    raise SystemExit(URL)\n'
    module.write_text(MODULE + ends)
    settings = load_settings(config=folder / "alembic.ini", database_url="urls_of_a_project:ends")
    with pytest.raises(SettingsError, match="raised SystemExit") as caught:
        _ = settings.url
    assert all("hunter2" not in text for text in _texts(caught.value))
    assert capsys.readouterr().out == ""
