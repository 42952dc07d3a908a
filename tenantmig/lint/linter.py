"""The linter: lets every rule look at the revisions of a range, and heeds what scripts allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from tenantmig.domain.python_source import read_source
from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.engines.offline import WrittenRevision, WrittenScript, write_history
from tenantmig.errors import HistoryError, SelectionError
from tenantmig.history.revisions import History
from tenantmig.history.script_literals import names_in_literals, sql_literals
from tenantmig.history.script_source import creates_from_models, is_bytecode
from tenantmig.lint import CHOICE, OURS, SQUAWK, Choice, Finding, LintReport, Told
from tenantmig.lint.allowances import UNREASONED, UNUSED, heed_allowances, read_allowances
from tenantmig.lint.catalogs import catalog_without_schema
from tenantmig.lint.known_names import KnownNames
from tenantmig.lint.losses import lossy_downgrade
from tenantmig.lint.names import Role, created, names_in
from tenantmig.lint.revision import Revision
from tenantmig.lint.rules import RULES, told_only_in_public
from tenantmig.lint.source import Reference, references, sql_texts, tables_made, unnamed_drops
from tenantmig.lint.squawk import Piece, Squawk
from tenantmig.lint.statements import Statements, read_statements
from tenantmig.postgres.psycopg2_uses import psycopg2_uses
from tenantmig.settings import Settings

NOT_OFFLINE = "not-offline"
NO_SQL = "unreadable-sql"
UNNAMED = "drop-without-name"
OF_PSYCOPG2 = "psycopg2-only"
EVERY_RULE = (*RULES, catalog_without_schema, lossy_downgrade)
OUR_RULES = {rule.__name__.replace("_", "-") for rule in EVERY_RULE} | {
    NOT_OFFLINE, NO_SQL, UNNAMED, OF_PSYCOPG2, UNUSED, UNREASONED
}  # fmt: skip

_Sourced = tuple[str, Told]
"""What was told of a revision, and whose rule it is."""


def lint(
    settings: Settings,
    history: History,
    revision_range: str | None = None,
    pg_version: str | None = None,
    choice: Choice = CHOICE,
) -> LintReport:
    """Lint the revisions of a range (see `History.scripts`), all of them without one.

    Raises:
        SelectionError: `choice` names an unknown rule.
        UnknownRevisionError: the range names an unknown revision.
        SquawkError: squawk is not installed, or failed.
        EnvironmentFileError: env.py cannot be run offline.
    """
    scripts = history.scripts(revision_range)
    chosen = {script.revision for script in scripts}
    bare = [script.revision for script in scripts if is_bytecode(str(script.path))]
    if bare:
        raise HistoryError(
            f"Revision {bare[0]} exists only as bytecode. lint reads the scripts, so run it "
            "where their source is."
        )
    ini = settings.config.absolute()
    squawk = Squawk.find(ini.parent, pg_version)
    for rule in choice.only:
        if rule not in OUR_RULES and not squawk.knows(rule):
            raise SelectionError(f"There is no rule {rule!r}; docs/guides/lint.md lists all rules.")
    modules, limit = settings.pure_modules, settings.attempt_timeout
    written = write_history(ini, limit, settings.redact, modules, settings.x)
    told, pieces = _look(written, chosen, settings)
    for revision, each in squawk.lint(pieces):
        told[revision].append((SQUAWK, each))
    looked_at = [each for each in written if each.revision in chosen]
    every = [found for each in looked_at for found in _findings(each, told[each.revision])]
    findings = sorted(filter(choice.has, every), key=lambda found: found.source != OURS)
    return LintReport(
        revisions=tuple(each.revision for each in looked_at),
        findings=tuple(found for found in findings if found.allowed is None),
        allowed=tuple(found for found in findings if found.allowed is not None),
    )


def _look(
    written: Sequence[WrittenRevision], chosen: set[str], settings: Settings
) -> tuple[defaultdict[str, list[_Sourced]], list[Piece]]:
    """Let our rules look at the chosen revisions, and lay out what squawk is to look at.

    The others are read as well: they create what later ones use.
    """
    known: dict[str, KnownNames] = {}
    extension_schemas = frozenset(settings.extension_schemas)
    shared_schemas = frozenset({"public", settings.shared_schema})
    told: defaultdict[str, list[_Sourced]] = defaultdict(list)
    pieces: list[Piece] = []
    bound = settings.puts_in_all
    for each in written:
        names = known[each.revision] = KnownNames(known[parent] for parent in each.parents)
        names.add(settings.version_table, "relation")
        names.made.add(settings.version_table)
        revision = Revision(
            upgrade=_read(each.upgrade, each.file, "upgrade"),
            downgrade=_read(each.downgrade, each.file, "downgrade"),
            known=names,
            irreversible=each.irreversible,
            is_whole=not (each.upgrade.problem or each.downgrade.problem),
            extension_schemas=extension_schemas,
            shared_schemas=shared_schemas,
        )
        _learn(names, revision, each.file)
        _learn_tables(names, revision, each.file)
        if each.revision in chosen:
            told[each.revision] += [
                (OURS, found) for found in _tell(each, revision, puts_in_all=bound)
            ]
            pieces += _pieces(each.revision, revision)
    return told, pieces


def _read(script: WrittenScript, file: str, direction: str) -> Statements:
    """Read what one direction wrote; where it could not end, also the SQL that its text shows."""
    sent = read_statements(script.written)
    if script.problem is None:
        return sent
    lines = {written.line for written in script.written}
    shown = [each for each in sql_literals(file, direction) if each.line not in lines]
    return Statements((*sent.all, *read_statements(shown).all), sent.unreadable)


def _learn(known: KnownNames, revision: Revision, file: str) -> None:
    for statement in revision.with_inner:
        known.learn(statement)
    if not revision.is_whole:
        known.is_blind = known.is_blind or creates_from_models(file)
        for name in names_in_literals(file):
            known.add(name)


def _learn_tables(known: KnownNames, revision: Revision, file: str) -> None:
    """Take in the tables that a script makes where it could not be seen to make them."""
    if revision.is_whole:
        return
    made = tables_made(file)
    known.is_blind = known.is_blind or made is None
    known.made |= made or set()
    for statement in read_statements(sql_texts(file)).all:
        known.made |= {name for what, name in created(statement) if what == "relation"}


def _tell(script: WrittenRevision, revision: Revision, *, puts_in_all: bool) -> Iterator[Told]:
    unnamed = dict(unnamed_drops(script.file))
    for line, call in unnamed.items():
        instead = (
            "write the constraint's name in the database, or the one of your naming convention"
        )
        yield Told(
            line, UNNAMED, f"{call}(None) always fails: it does not say what to drop", instead
        )
    yield from _references(script, revision)
    for direction, side in (("upgrade", script.upgrade), ("downgrade", script.downgrade)):
        if side.problem is not None and side.problem_line not in unnamed:
            yield Told(
                side.problem_line,
                NOT_OFFLINE,
                f"{direction}() cannot be written offline, so lint did not see all of it "
                f"({side.problem})",
                "write in SQL what it reads; or review it yourself, and allow this with a reason",
            )
    for statements in (revision.upgrade, revision.downgrade):
        for line, reason in statements.unreadable:
            instead = "correct it or write it in parts; or review it yourself, and allow this"
            yield Told(line, NO_SQL, f"PostgreSQL's parser cannot read this: {reason}", instead)
    for rule in EVERY_RULE:
        yield from rule(revision)
    for use in psycopg2_uses(script.file):
        if not (use.is_bound and puts_in_all):
            why = f"{use.what} belongs to psycopg2, but scripts get a connection of psycopg 3"
            yield Told(use.line, OF_PSYCOPG2, why, use.instead)


def _references(script: WrittenRevision, revision: Revision) -> Iterator[Told]:
    """Foreign keys in a script of which not all was seen, or to a table that was only mentioned."""
    known = revision.known
    if known.is_blind:
        return
    found = [] if revision.is_whole else list(references(script.file))
    for statement in revision.statements:
        for name in names_in(statement):
            is_told = not revision.is_whole or known.has(name)  # else only_in_public tells of it
            is_own = name.schema in {"", PLACEHOLDER}
            if name.role is Role.REFERENCES and is_own and is_told:
                found.append(Reference(statement.line, name.name))
    for line, table in dict.fromkeys(found):
        if table not in known.made:
            yield told_only_in_public(line, "relation", table)


def _pieces(revision: str, read: Revision) -> Iterator[Piece]:
    for is_down, side in ((False, read.upgrade), (True, read.downgrade)):
        for is_outside, statements in groupby(side.all, lambda s: s.is_outside):
            yield Piece(revision, list(statements), is_down, is_outside)


def _findings(script: WrittenRevision, told: Sequence[_Sourced]) -> list[Finding]:
    """Make findings of what was told of one revision, each once, and heed its allowances."""
    source = read_source(script.file)
    found = {
        Finding(script.revision, script.file, each.line, each.rule, each.why, each.instead, whose)
        for whose, each in told
    }
    by_line = sorted(found, key=lambda f: (f.line, f.rule, f.why))
    heeded = heed_allowances(by_line, read_allowances(source), script.revision, script.file)
    return sorted(heeded, key=lambda f: f.line)
