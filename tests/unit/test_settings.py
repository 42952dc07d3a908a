"""Settings: precedence, refusals that name where a value stands, durations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tenantmig.domain.alembic_ini import read_ini
from tenantmig.domain.written_values import parse_duration, parse_parallel
from tenantmig.errors import SettingsError
from tenantmig.settings import load_settings

INI = "[alembic]\nscript_location = %(here)s/alembic\n"


class Project:
    """A folder with an Alembic ini, and what may stand beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = folder / "alembic.ini"
        self.ini.write_text(INI)

    def toml(self, text: str) -> Path:
        path = self.folder / "tenantmig.toml"
        path.write_text(text)
        return path

    def pyproject(self, text: str) -> Path:
        path = self.folder / "pyproject.toml"
        path.write_text(f"[project]\nname = 'x'\n[tool.tenantmig]\n{text}")
        return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in os.environ:
        if name.startswith("TENANTMIG_"):
            monkeypatch.delenv(name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Project(tmp_path)


def test_precedence_is_flag_variable_toml_pyproject_default(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("attempts", "parallel", "recycle_after", "lock_timeout", "connect_timeout")
    project.pyproject("attempts = 10\nparallel = 10\nrecycle_after = 10\nlock_timeout = 10")
    project.toml("attempts = 20\nparallel = 20\nrecycle_after = 20")
    monkeypatch.setenv("TENANTMIG_ATTEMPTS", "30")
    monkeypatch.setenv("TENANTMIG_PARALLEL", "30")
    settings = load_settings(config=project.ini, attempts=40, recycle_after=None)
    assert [getattr(settings, key) for key in keys] == [40, 30, 20, 10.0, 10.0]


def test_parallel_is_found_out_unless_it_is_given(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(config=project.ini).parallel == "auto"
    project.toml("parallel = 4")
    assert load_settings(config=project.ini).parallel == 4
    monkeypatch.setenv("TENANTMIG_PARALLEL", "auto")
    assert load_settings(config=project.ini).parallel == "auto"
    assert load_settings(config=project.ini, parallel="3").parallel == 3


def test_files_are_those_beside_the_ini(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.toml('source_file = "tenants.csv"\nextension_schemas = ["ext"]')
    Path("tenantmig.toml").write_text("attempts = 9")
    monkeypatch.setenv("TENANTMIG_CONFIG", str(project.ini))
    settings = load_settings()
    assert settings.config == project.ini
    assert settings.attempts == 4
    assert settings.source_file == project.folder / "tenants.csv"
    assert settings.extension_schemas == ("ext",)


def test_a_list_in_a_variable_is_json(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTMIG_EXTENSION_SCHEMAS", '["ext", "Other"]')
    settings = load_settings(config=project.ini)
    assert settings.extension_schemas == ("ext", "Other")
    assert settings.name_rules.reserved == {"tenantmig", "public", "ext", "other"}


def test_a_malformed_list_in_a_variable_is_a_settings_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTMIG_EXTENSION_SCHEMAS", "[ext")
    with pytest.raises(SettingsError, match=r"(?i)extension_schemas"):
        load_settings(config=project.ini)


BAD = [
    ("attempts", "0", "0", "greater than 0"),
    ("parallel", '"many"', "many", "write auto, or the number of tenants at once as an integer"),
    ("parallel", "0", "0", "greater than 0"),
    ("source", '"tables"', "tables", "'registry', 'schemas'"),
    ("lock_timeout", '"1 day"', "1 day", "500ms, 2s, 5min or 1h"),
    ("lock_timeout", "-1", "-1", "500ms, 2s, 5min or 1h"),
]


@pytest.mark.parametrize(("key", "toml", "text", "reason"), BAD)
@pytest.mark.parametrize("where", ["flag", "variable", "toml", "pyproject"])
def test_a_refusal_names_place_key_and_reason(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    toml: str,
    text: str,
    reason: str,
    where: str,
) -> None:
    flags: dict[str, object] = {}
    place = ""
    match where:
        case "flag":
            flags, place = {key: text}, "--" + key.replace("_", "-")
        case "variable":
            place = f"TENANTMIG_{key.upper()}"
            monkeypatch.setenv(place, text)
        case "toml":
            place = str(project.toml(f"{key} = {toml}"))
        case "pyproject":
            place = str(project.pyproject(f"{key} = {toml}"))
    with pytest.raises(SettingsError) as refused:
        load_settings(config=project.ini, **flags)
    assert f"`{key}` ({place})" in refused.value.message
    assert reason in refused.value.message


def test_a_comment_in_another_file_is_not_blamed(project: Project) -> None:
    project.toml("# attempts = 4\n")
    path = project.pyproject("attempts = 0")
    with pytest.raises(SettingsError) as refused:
        load_settings(config=project.ini)
    assert str(path) in refused.value.message


def test_a_file_is_blamed_when_a_variable_names_the_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.toml("attempts = 0")
    monkeypatch.setenv("TENANTMIG_CONFIG", str(project.ini))
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(path) in refused.value.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("atempts = 3", "`atempts` .*tenantmig.toml.*there is no such setting"),
        ('config = "alembic.ini"', "tenantmig.toml: `config` cannot be set in a file"),
        ("attempts = = 3", "tenantmig.toml cannot be read: .*line 1"),
        ('database_url = ["postgresql://app:hunter2@db/x"]', "`database_url` .*tenantmig.toml"),
    ],
)
def test_a_bad_file_is_named_and_no_secret_echoed(project: Project, text: str, reason: str) -> None:
    project.toml(text)
    with pytest.raises(SettingsError, match=reason) as refused:
        load_settings(config=project.ini)
    assert "hunter2" not in repr(refused.value) + repr(refused.value.__cause__)


def test_a_file_that_is_not_text_is_named(project: Project) -> None:
    (project.folder / "tenantmig.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"tenantmig\.toml cannot be read"):
        load_settings(config=project.ini)


def test_the_url_comes_from_the_setting_else_from_the_ini(project: Project) -> None:
    with pytest.raises(SettingsError, match="TENANTMIG_DATABASE_URL"):
        _ = load_settings(config=project.ini).url
    project.ini.write_text(INI + "sqlalchemy.url = embedded://%(here)s/.pg\n")
    assert load_settings(config=project.ini).url.embedded_folder == project.folder / ".pg"
    given = load_settings(config=project.ini, database_url="postgresql://app:hunter2@db/x")
    assert given.url.parameters["user"] == "app"
    assert "hunter2" not in repr(given) + str(given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, r"There is no .*alembic\.ini.*tenantmig init"),
        ("script_location = alembic\n", "cannot be read as an Alembic ini"),
        ("[alembic]\n", "script_location"),
        ("[alembic]\nscript_location = %(nowhere)s\n", "`script_location` in .alembic"),
    ],
)
def test_an_ini_that_alembic_could_not_read_is_refused(
    project: Project, text: str | None, reason: str
) -> None:
    project.ini.unlink()
    if text is not None:
        project.ini.write_text(text)
    with pytest.raises(SettingsError, match=reason) as refused:
        read_ini(project.ini)
    assert "\n" not in refused.value.message


def test_the_inis_here_may_hold_a_percent_sign(tmp_path: Path) -> None:
    (folder := tmp_path / "100%").mkdir()
    (folder / "alembic.ini").write_text(INI)
    ini = read_ini(folder / "alembic.ini")
    assert ini.get("alembic", "script_location") == f"{folder}/alembic"


@pytest.mark.parametrize(
    ("written", "meant"), [(4, 4), ("4", 4), (" 16 ", 16), ("auto", "auto"), (" auto", "auto")]
)
def test_parallel(written: object, meant: object) -> None:
    assert parse_parallel(written) == meant


@pytest.mark.parametrize(
    "written", ["", "0", "-1", "1.5", "many", "Auto 4", True, None, 0, -2, 2.0]
)
def test_what_is_no_parallel(written: object) -> None:
    with pytest.raises(ValueError, match="write auto, or the number"):
        parse_parallel(written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("2s", 2), (" 5 min ", 300), ("1h", 3600), ("0.5s", 0.5), (3, 3), (1.5, 1.5)],
)
def test_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "-1s",
        "1 day",
        "1e3s",
        "2 s s",
        None,
        True,
        -1,
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="write a duration like"):
        parse_duration(written)
