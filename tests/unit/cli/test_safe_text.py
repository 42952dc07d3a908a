"""Foreign text on a terminal and in a CI's log: seen whole, obeyed never."""

from __future__ import annotations

import ast
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tenantmig.cli.annotations import github_lines
from tenantmig.cli.printing import table
from tenantmig.cli.sql_text import safe_sql
from tenantmig.domain.safe_text import escaped_json, lines, one_line
from tenantmig.lint import Finding, LintReport
from tests.fixtures.command import REPOSITORY
from tests.fixtures.hostile import HOSTILE, assert_harmless

CLI = REPOSITORY / "tenantmig" / "cli"
SEEN_FORMATS = {"\u0600", "\u06dd", "\u070f", "\u0890", "\u08e2", "\U000110bd", "\U000110cd"}
ORDINARY = "Zoë & Söhne «東京» שלום السلام नमस्ते 🦊🇩🇪 50% \\x1b a::b [x] {} ☃️ # ## a"
any_text = st.text(st.one_of(st.characters(), st.sampled_from("".join(HOSTILE) + ":#[\n ")))


def test_ordinary_text_stays() -> None:
    assert one_line(ORDINARY) == lines(ORDINARY) == ORDINARY


def test_every_character_that_is_not_seen_is_escaped() -> None:
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        is_unseen = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        if is_unseen and not any(char in chr_range(first) for first in SEEN_FORMATS):
            assert one_line(char).isascii(), f"U+{number:04X}"
            assert lines(char).isascii(), f"U+{number:04X}"


def chr_range(first: str) -> str:
    """Signs of Arabic, Syriac and Kaithi that are written before or around numbers: seen."""
    more = {"\u0600": 5, "\u0890": 1}.get(first, 0)
    return "".join(chr(ord(first) + n) for n in range(more + 1))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Ja", r"\x1b[2Ja"),
        ("a\r\nb", r"a\r\nb"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb", r"a\u202eb"),
        ("a\U000e0041", r"a\U000e0041"),
        ("\ud800", r"\ud800"),
        ("::error::x", r"\x3a:error::x"),
        (" \u00a0::add-mask::x", " \u00a0\\x3a:add-mask::x"),
        ("a ##[group]b", r"a \x23#[group]b"),
        ("##vso[task.setvariable]x", r"\x23#vso[task.setvariable]x"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
        ("a\n::error::x", r"a\n::error::x"),
    ],
)
def test_what_is_escaped_can_be_read(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_text_of_several_lines_keeps_them() -> None:
    text = "a\tb\r\n  ::int\n\x07::x"
    assert lines(text) == "a\tb\r\n  \\x3a:int\n\\x07::x"


@settings(deadline=None, max_examples=60)
@given(any_text)
def test_whatever_is_printed_is_harmless_and_safe_again(text: str) -> None:
    assert_harmless(one_line(text))
    assert_harmless(lines(text).replace("\r\n", "\n"))
    assert one_line(one_line(text)) == one_line(text)
    assert "\n" not in one_line(text)


@settings(deadline=None, max_examples=60)
@given(any_text)
def test_json_is_exact_and_harmless(text: str) -> None:
    document = escaped_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert json.loads(document) == {text: [text]}
    assert_harmless(document)


@settings(deadline=None, max_examples=60)
@given(st.lists(any_text, min_size=1, max_size=4), st.integers(1, 30))
def test_a_table_is_harmless_where_cells_are_folded(cells: list[str], width: int) -> None:
    out = Console(width=width, color_system=None, force_terminal=False)
    with out.capture() as captured:
        out.print(table(("first", "second"), [(cell, cell) for cell in cells]), soft_wrap=True)
    assert_harmless(captured.get())


@settings(deadline=None, max_examples=60)
@given(any_text, any_text)
def test_an_annotation_is_one_command(text: str, name: str) -> None:
    file = name[:40].replace("\0", "").encode("utf-8", "ignore").decode()  # what a path can hold
    finding = Finding(name or "r", f"{file}.py", 1, "rule", "squawk", text, text)
    (line,) = github_lines(LintReport(("r",), (finding,), ()))
    assert "\n" not in line
    assert line.startswith("::error file=")
    assert_harmless(line[2:])
    # a property ends at a comma, the properties end at ::
    assert len(re.findall("::", line.partition("::")[2].partition("::")[0])) == 0
    assert line.count(",") - line.rpartition("::")[2].count(",") <= 2 or "::" in text


# -- SQL that is to be run ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("SELECT 'a\x1bb'", r"SELECT U&'a\001bb'"),
        ("SELECT 'it''s \\ \u202e'", r"SELECT U&'it''s \\ \202e'"),
        ("SELECT E'a\\n\x1b\\\x1b'", r"SELECT E'a\n\U0000001b\U0000001b'"),
        ('DROP TABLE "a\x07""b"', r'DROP TABLE U&"a\0007""b"'),
        ("SELECT U&'\\0061\x1b'", r"SELECT U&'\0061\001b'"),
        ("DO $x$a\x1b'$x$", r"DO U&'a\001b'''"),
        ("SELECT 1 -- a\x1b\n", "SELECT 1 -- a\\x1b\n"),
        ("SELECT '1'\n::int", "SELECT '1'\n/**/::int"),
        ("SELECT 'a\n::error::b'", "SELECT U&'a\n\\003a:error::b'"),
        ("SELECT Fo\u200bO", r'SELECT U&"fo\200bo"'),
        ("SELECT 'tab\tand\r\nend'", "SELECT 'tab\tand\r\nend'"),
        ("SELECT\r'\U000e0041'", r"SELECT U&'\+0e0041'"),
        ("SELECT '##[group]'", r"SELECT U&'\0023#[group]'"),
    ],
)
def test_sql_is_written_with_the_same_meaning(statement: str, written: str) -> None:
    assert safe_sql(statement) == written
    assert_harmless(written.replace("\r\n", "\n"))


@pytest.mark.parametrize("statement", ["SELECT 'a\x1b", "SELECT 'a'\n'\x1b'", "\ud800"])
def test_what_cannot_be_written_so_is_only_shown(statement: str) -> None:
    written = safe_sql(statement)
    assert written.startswith("-- Not to be run")
    assert_harmless(written)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["'", '"', "$$", "\n", "::", "--", "/*", "E", "U&", *HOSTILE])))
def test_no_sql_is_obeyed_by_a_terminal(parts: list[str]) -> None:
    assert_harmless(safe_sql("".join(parts)).replace("\r\n", "\n"))


# -- the choke point ------------------------------------------------------------------------------


@pytest.mark.parametrize("module", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_is_printed_past_the_one_module(module: Path) -> None:
    if module.stem == "printing":
        return
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "Console", "Table", "Text", "traceback.print_exc"}
            assert not called.startswith(("typer.echo", "typer.secho", "click.", "rich.")), called
            assert not called.endswith((".write", ".writelines")), called
        if isinstance(node, ast.ImportFrom):
            assert node.module not in {"rich.console", "rich.table", "rich.text", "rich"}
