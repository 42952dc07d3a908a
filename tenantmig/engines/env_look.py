"""A look at the user's env.py before a run: does it load, and configure what tenants need?

It runs up to `context.run_migrations()`, which does nothing here. It gets a connection whose search
path is no tenant's, and no statement of its own is sent over that, nor may it connect or write
elsewhere: what it would find there is not known, and so nothing is said against it. There are two
exceptions: a statement that would itself place a tenant's tables, by its text; and an env.py that
never names the driver's connection and opens one with SQLAlchemy.
"""

from __future__ import annotations

import ast
import io
import os
import sys
import traceback
from collections.abc import Sequence
from configparser import Error as IniError
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.script.revision import MultipleHeads
from alembic.util.pyfiles import pyc_file_from_path
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from tenantmig.domain.ini_error import say_error
from tenantmig.domain.python_source import parse_source, read_source
from tenantmig.domain.tenant import SCRATCH, Tenant
from tenantmig.engines.acts import acts_refused
from tenantmig.engines.env_watch import line_in, say_sent
from tenantmig.engines.environment import WorkerOptions, broken_rules, tell_env
from tenantmig.errors import OutsideError, TenantmigError
from tenantmig.history.env_statement import is_setting_alone, judge
from tenantmig.postgres.session import TenantSession, translate_map

OPENS = (
    "it opens a connection of its own instead of using the driver's"
    ' (config.attributes["connection"])'
)
ADAPT = "`tenantmig init --adapt` shows what env.py must change"
NO_MODULE = "install it, or add the folder that contains it to prepend_sys_path"
NO_NAME = "import it in env.py"
MEND = "fix this first; nothing can run until env.py loads"
ENGINES = frozenset(
    {"engine_from_config", "async_engine_from_config", "create_engine", "create_async_engine"}
)
NOTHING = "SET LOCAL search_path = pg_catalog"
"""What is sent where env.py only repeats what its session is bound to: it ends with its own."""
OURS = (NOTHING, "SELECT pg_catalog.set_config('lock_timeout'")
"""What the session itself sends in the look."""
NEVER_RUN = "it must call context.run_migrations()"
LOADING = (ImportError, SyntaxError, NameError, AttributeError, SQLAlchemyError, IniError)
"""What does not come from the tenant that is asked for."""


class _Stop(BaseException):
    """Env.py sends a statement: what comes then depends on the database."""


class _Look:
    """Alembic's context for env.py, in which no migration runs."""

    def __init__(self, config: Config, script: ScriptDirectory) -> None:
        self.line: int | None = None
        self.has_run = False
        self.is_stopped = False
        self.sent: str | None = None
        """What env.py sends that would place a tenant's tables, and where."""
        self.environment = EnvironmentContext(
            config, script, fn=lambda *_: [], destination_rev="head", tag=None
        )
        self.refused: list[bool] = []
        """What env.py did elsewhere, in order: whether SQLAlchemy did it, to connect."""
        self.script = script
        self.file = str(Path(script.dir, "env.py"))
        self._configure = self.environment.configure
        self.environment.configure = self._note_line  # type: ignore[method-assign]
        self.environment.run_migrations = self._note_run  # type: ignore[method-assign]

    def _note_line(self, *arguments: Any, **named: Any) -> None:
        self.line = line_in(self.file, traceback.extract_stack())
        self._configure(*arguments, **named)

    @property
    def told(self) -> str | None:
        """What is known to be wrong with what env.py sends by itself."""
        return f"{self.sent}; {ADAPT}." if self.sent else None

    def _note_run(self, **_: Any) -> None:
        self.has_run = True


def look_at_env(options: WorkerOptions, tenant: Tenant) -> str | None:
    """Say what is wrong with env.py, where, and what to do; None if nothing is known to be.

    Call it in a process of its own: env.py and what it imports stay loaded.
    """
    config = options.config()
    script = ScriptDirectory.from_config(config)
    file = str(Path(script.dir, "env.py"))
    if not Path(file).is_file() and pyc_file_from_path(file) is None:
        return f"There is no {file}; {ADAPT.replace('shows', 'says')}."
    try:
        session = TenantSession(options.session)
    except (TenantmigError, psycopg.Error, SQLAlchemyError):
        return None  # not env.py's fault; a run tries again, or tells it
    config.attributes["connection"] = session.sqlalchemy
    session.sqlalchemy.dialect.default_schema_name = tenant.schema
    session.sqlalchemy.execution_options(schema_translate_map=translate_map(tenant.schema))
    tell_env(config, options, tenant, "head")
    look = _Look(config, script)
    try:
        _run(look, session, (tenant.schema, *options.session.extension_schemas))
    except _Stop:
        return look.told
    except (Exception, SystemExit) as error:  # noqa: BLE001  env.py raises anything
        if look.sent:
            return look.told
        told = None if look.is_stopped else _explain(error, file, look, tenant)
        return told and options.session.url.redact(told)
    finally:
        session.close()
    if look.sent or look.is_stopped or look.refused:
        return look.told
    return _problem(look, file, options, session, tenant)


def _run(look: _Look, session: TenantSession, path: Sequence[str]) -> None:
    def refuse(act: str) -> NoReturn:
        is_engine = any(
            str(frame.f_globals.get("__name__")).startswith("sqlalchemy.")
            for frame, _ in traceback.walk_stack(None)
        )
        look.refused.append(is_engine)
        raise OutsideError(f"It {act}.")

    def stop(text: str) -> NoReturn:
        look.is_stopped = True
        what = judge(text, path)
        if what is not None and look.sent is None:
            look.sent = say_sent(look.file, what)
        raise _Stop

    def pass_over(_: object, __: object, text: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        """Send nothing in the place of a SET that the session needs not: env.py goes on."""
        is_own = judge(text, path) is None and is_setting_alone(text)
        return (NOTHING, ()) if is_own else (text, parameters)

    event.listen(session.sqlalchemy, "before_cursor_execute", pass_over, retval=True)
    session.driver.hear = lambda text: None if text.startswith(OURS) else stop(text)
    quiet = io.StringIO()
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(quiet),
        redirect_stderr(quiet),
        acts_refused(refuse, lambda: False),
    ):
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        with look.environment:
            look.script.run_env()


def _problem(
    look: _Look, file: str, options: WorkerOptions, session: TenantSession, tenant: Tenant
) -> str | None:
    if not look.has_run:
        return f"{file}: {NEVER_RUN}; {ADAPT}."
    context = look.environment.get_context()
    broken = broken_rules(context, session.sqlalchemy, tenant.schema, options)
    if not broken:
        return None
    where = f"{file}, line {look.line}" if look.line else file
    return f"{where}: env.py must {', '.join(broken)}; {ADAPT}."


def _explain(error: BaseException, file: str, look: _Look, tenant: Tenant) -> str | None:
    """Say what env.py raised; None where the look itself may have been the reason."""
    is_ours = _names_the_driver(file)
    engine = None if is_ours else _own_engine(file)
    if engine is not None:
        return f"{file}, line {engine}: {OPENS}; {ADAPT}."
    if look.refused and (is_ours or not look.refused[0]):
        return None
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: syntax error: {error.msg}; {MEND}."
    frames = traceback.extract_tb(error.__traceback__)
    line = line_in(file, frames)
    where = f"{file}, line {line}" if line else file
    if look.refused:
        return f"{where}: {OPENS}; {ADAPT}."
    if isinstance(error, MultipleHeads) or isinstance(error.__cause__, MultipleHeads):
        return None  # a run asks for exact revisions
    what = f"{type(error).__name__}: {' '.join(str(say_error(error)).split())}".rstrip(".: ")
    deeper = [frame for frame in frames if _is_of_project(frame.filename, file)]
    is_loading = isinstance(error, LOADING) or any(frame.name == "<module>" for frame in deeper)
    if tenant.name.startswith(SCRATCH) and not is_loading:
        return None  # there is no such tenant, which env.py may have looked up
    if deeper:
        what += f" ({deeper[-1].filename}, line {deeper[-1].lineno})"
    remedy = MEND
    if isinstance(error, ModuleNotFoundError):
        remedy = NO_MODULE
    elif isinstance(error, NameError) and not deeper:
        remedy = NO_NAME
    return f"{where}: {what}; {remedy}."


def _names_the_driver(file: str) -> bool:
    """True when env.py may use the driver's connection; also where its text cannot be read."""
    try:
        source = read_source(file)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return True
    return "attributes" in source or "tenantmig" in source


def _own_engine(file: str) -> int | None:
    """Return the line where env.py makes an engine."""
    try:
        tree = parse_source(file)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    lines = [c.lineno for c in calls if ast.unparse(c.func).rpartition(".")[2] in ENGINES]
    return min(lines, default=None)


def _is_of_project(frame: str, file: str) -> bool:
    """True for a file of the project's own that is not env.py."""
    is_library = "site-packages" in frame or frame.startswith((sys.base_prefix, sys.prefix, "<"))
    is_ours = frame.startswith(str(Path(__file__).parents[1]))
    return not (is_library or is_ours or os.path.realpath(frame) == os.path.realpath(file))
