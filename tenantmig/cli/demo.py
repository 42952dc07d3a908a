"""demo: the whole story on an embedded PostgreSQL. Real commands, shown as they run."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, LiteralString

import typer

from tenantmig.cli.printing import console
from tenantmig.errors import SettingsError

if TYPE_CHECKING:
    from tenantmig.domain.database_url import DatabaseUrl

BIN = Path(sys.executable).parent
BROKEN = "customer_17"
BEFORE, HEAD = "0012", "0015"
OFFENCE: Final = (
    "WITH account AS (INSERT INTO users (email, display_name) VALUES ('ada@example.com', 'Ada')"
    " RETURNING id), project AS (INSERT INTO projects (owner_id, name)"
    " SELECT id, 'Website' FROM account RETURNING id)"
    " INSERT INTO invoices (project_id, number, status, issued_on, total_cents)"
    " SELECT id, '2025-0099', 'sent', '2025-03-01', -4900 FROM project"
)
REPAIR: Final = "UPDATE invoices SET status = 'void', total_cents = 0 WHERE total_cents < 0"


class Story:
    """The commands of the demo, run in the folder of the example project."""

    def __init__(self, project: Path, url: DatabaseUrl, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.url = url
        self.out = console()

    def say(self, text: str) -> None:
        """Print a line of the story."""
        self.out.print("")
        self.out.print(f"# {text}", style="bold")

    def run(self, command: str, expected: int = 0) -> None:
        """Show a command, run it, and stop the demo if it does not end as the story says."""
        self.out.print(f"$ {command}", style="cyan")
        program, *arguments = shlex.split(command)
        environment = os.environ | {
            "TENANTMIG_DATABASE_URL": f"embedded://{self.url.embedded_folder}"
        }
        done = subprocess.run(  # noqa: S603  the commands above
            [BIN / program, *arguments], cwd=self.project, env=environment, check=False
        )
        if done.returncode != expected:
            raise SettingsError(
                f"The demo expected exit code {expected}, but the command ended with "
                f"{done.returncode}."
            )
        if expected:
            self.out.print(f"(exit code {done.returncode})")

    def sql(self, statement: LiteralString) -> None:
        """Run SQL in the broken tenant, as its application would."""
        import psycopg
        from psycopg import sql

        from tenantmig.postgres import embedded

        self.out.print(f"{BROKEN}=> {statement};", style="cyan")
        with psycopg.connect(**embedded.resolve(self.url).parameters) as connection:  # type: ignore[arg-type]
            path = sql.SQL("SET search_path = {}").format(sql.Identifier(BROKEN))
            connection.execute(path)
            connection.execute(statement)


def demo(
    project: Annotated[
        Path,
        typer.Option("--project", help="A checkout of tenantmig, with alembic.ini and examples/."),
    ] = Path(),
    tenants: Annotated[
        int, typer.Option("--tenants", help="How many tenants to create.", min=20)
    ] = 60,
) -> None:
    """Run a demonstration on an embedded PostgreSQL, in about a minute."""
    if not list((project / "alembic" / "versions").glob(f"{HEAD}_*.py")):
        raise SettingsError(
            f"{project.absolute()} is not a checkout of tenantmig with its example history. "
            "Run the demo in a checkout, or name one with --project."
        )
    from tenantmig.domain.database_url import DatabaseUrl
    from tenantmig.postgres import embedded

    folder = tempfile.mkdtemp(prefix="tenantmig-demo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after the server has ended
    url = DatabaseUrl.parse(f"embedded://{folder}/data")
    embedded.resolve(url)  # one server for all commands; it ends with this process
    _tell(Story(project.absolute(), url, Path(folder)), tenants)


def _tell(story: Story, tenants: int) -> None:
    names = " ".join(f"customer_{number:02d}" for number in range(1, tenants + 1))
    story.say(f"{tenants} customers sign up while revision {BEFORE} is the latest.")
    story.run(f"tenantmig onboard {names} --to {BEFORE}")
    story.say(f"The release brings revisions up to {HEAD}. Which revisions are the tenants at?")
    story.run("tenantmig status")
    story.run("tenantmig plan")
    story.say(f"{BROKEN} has an invoice below zero, which {HEAD} forbids.")
    story.sql(OFFENCE)
    story.say("Upgrade the fleet: one tenant fails, and the others go on.")
    story.run("tenantmig upgrade", expected=3)
    story.run("tenantmig status")
    story.say("Fix its data and finish the run.")
    story.sql(REPAIR)
    story.run("tenantmig resume")
    story.run("tenantmig status")
    story.say(
        "The release is withdrawn: roll back what the run changed, with a dump of each "
        "tenant first."
    )
    story.run("tenantmig rollback 2 --yes --backup " + shlex.quote(str(story.folder / "backups")))
    story.say("Release again, in waves of 25 with a gate between them.")
    story.run("tenantmig upgrade --wave 25 --gate true")
    story.say("customer_03 wants the old version: downgrade one tenant by two revisions.")
    story.run("tenantmig downgrade -2 -t customer_03 --yes")
    story.say("Plain Alembic works on any tenant too.")
    story.run("alembic -x tenant=customer_03 current")
    story.run("alembic -x tenant=customer_03 upgrade head")
    story.run("tenantmig status")
    story.say("The ledger in the database lists every run.")
    story.run("tenantmig runs")
