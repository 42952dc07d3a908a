"""What proves that a backup file is ours: a signature beside it, or its hash in the ledger.

The signature is an HMAC-SHA256 over the file's SHA-256, with the key of the setting `backup_key`.
The ledger keeps the SHA-256 of each backup that a run took.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from tenantmig.errors import BackupFileError, UntrustedBackupError

VERSION = "tenantmig-backup-v1"
SUFFIX = ".sig"
TABLE = "backup_file"


def signature_file(file: Path) -> Path:
    """Return where the signature of a backup lies."""
    return file.with_name(file.name + SUFFIX)


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        BackupFileError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise BackupFileError(
            f"{file} cannot be read as a backup: {error.strerror}. Nothing was touched."
        ) from error


def write_signature(file: Path, digest: str, key: str) -> None:
    """Put the signature of a file that is about to have this name beside it, and keep it."""
    target = signature_file(file)
    descriptor, partial = tempfile.mkstemp(prefix=".signature-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(_signature(digest, key) + "\n")
            opened.flush()
            os.fsync(descriptor)
        Path(partial).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(partial).unlink()
        raise


def check_proof(file: Path, digest: str, key: str | None, *, is_known: bool) -> None:
    """Make sure that a file is a backup of ours. `is_known`: the ledger has its hash.

    Raises:
        UntrustedBackupError: nothing proves it, or its signature is wrong.
    """
    signed = _read_signature(signature_file(file))
    if key is not None and signed is not None:
        if hmac.compare_digest(signed.encode(), _signature(digest, key).encode()):
            return
        raise UntrustedBackupError(
            f"The signature of {file} does not match: the file was changed, or it was "
            "signed with another key. If you know that the file is yours, pass "
            "--trust-file. Nothing was touched."
        )
    if is_known:
        return
    why = f"it has no signature ({signature_file(file).name})"
    if signed is not None:
        why = "no backup_key is set, so its signature cannot be checked"
    raise UntrustedBackupError(
        f"Nothing proves that {file} is a backup of yours: {why}, and the ledger has no "
        "record of it. If you know that the file is yours, pass --trust-file. Nothing was "
        "touched."
    )


def _read_signature(path: Path) -> str | None:
    try:
        return path.read_bytes()[:1000].decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UntrustedBackupError(
            f"The signature {path} cannot be read: {error.strerror}. Nothing was touched."
        ) from error


def _signature(digest: str, key: str) -> str:
    text = f"{VERSION}\n{digest}\n".encode()
    return f"{VERSION} {hmac.new(key.encode(), text, hashlib.sha256).hexdigest()}"
