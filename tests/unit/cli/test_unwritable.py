"""Files that cannot be written: one sentence, exit code 2, no traceback."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest
import typer

from tenantmig.cli.exits import REFUSED, run


def _command(error: OSError | None) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def write() -> None:
        if error is not None:
            raise error
        tempfile.mkdtemp()

    return app


def test_no_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert run(_command(None), ["--"]) == REFUSED
    told = capsys.readouterr().err
    assert told.startswith("Error: There is no folder for temporary files")
    assert "TMPDIR" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_file_that_cannot_be_written_is_named(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, "no way", str(tmp_path / "r1.py"))
    assert run(_command(error), ["--"]) == REFUSED
    told = capsys.readouterr().err
    assert f"{tmp_path / 'r1.py'} cannot be written: no way" in told
    assert len(told.splitlines()) == 1
    assert run(_command(OSError(errno.EBADF, "bad")), ["--"]) == 1  # a bug stays one
