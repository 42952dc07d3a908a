"""How a client program connects: by variables of its environment, so that no password is seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from tenantmig.domain.database_url import DatabaseUrl

OWN_VARIABLES = "TENANTMIG_"
NOTICES_LOSS = "-c client_connection_check_interval=1s"  # the statement of a killed program ends


@dataclass(frozen=True, slots=True)
class Connecting:
    """How a program connects. `application_name` is what the server shows for it.

    With `relay`, a folder with a socket and the name of a database, it connects there instead, and
    learns nothing of the URL.
    """

    url: DatabaseUrl
    application_name: str
    connect_timeout_s: float = 10.0
    relay: tuple[Path, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The libpq variables of the parameters that have one, the password among them.

        Each time that it is read, the password command is run, if there is one.
        """
        parameters, variables = self.ask_parameters(), _variables()
        named = sorted(_in_environment(parameters) & variables.keys())
        return {variables[key]: parameters[key] for key in named} | {"PGCLIENTENCODING": "UTF8"}

    @property
    def arguments(self) -> list[str]:
        """`-d` with what no variable can say, or nothing. Never a secret."""
        parameters = self.parameters
        told = _in_environment(parameters) & _variables().keys()
        rest = {key: value for key, value in parameters.items() if key not in told}
        return ["-d", make_conninfo("", **rest)] if rest else []

    @property
    def forgets(self) -> tuple[str, ...]:
        """What the variables begin with that the program does not get."""
        return (OWN_VARIABLES, "PG") if self.relay else (OWN_VARIABLES,)

    def ask_parameters(self) -> dict[str, str]:
        """Return the libpq parameters for one connect, with the password of a command."""
        return self.parameters if self.relay else self.url.ask_parameters() | self.parameters

    @property
    def parameters(self) -> dict[str, str]:
        """The libpq parameters, the password of the URL among them."""
        if self.relay:
            folder, database = self.relay
            named = {"host": str(folder), "port": "5432", "dbname": database, "user": "relay"}
            return named | {"application_name": self.application_name}
        parameters = {
            "connect_timeout": str(max(2, round(self.connect_timeout_s))),
            **self.url.parameters,
        }
        parameters["application_name"] = self.application_name
        options = parameters.get("options", os.environ.get("PGOPTIONS", ""))
        parameters["options"] = f"{options} {NOTICES_LOSS}".strip()
        parameters.pop("client_encoding", None)
        return parameters


def _in_environment(parameters: Mapping[str, str]) -> set[str]:
    """Return the parameters that a program is told by variables."""
    if "service" in parameters:  # a service file overrides variables, but no arguments
        return parameters.keys() & {"password", "application_name", "options"}
    return set(parameters)


def _variables() -> dict[str, str]:
    """Return the environment variable of each libpq parameter that has one."""
    defaults = Conninfo.get_defaults()
    return {d.keyword.decode(): d.envvar.decode() for d in defaults if d.envvar}
