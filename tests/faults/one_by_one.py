"""Programs of the script oracle: plain Alembic in a process a tenant, and the default engine.

The nursery forks them with everything imported. Both take the ini, the revisions to go to, and the
tenants with their schemas; they print which tenants arrived at each, and what was said.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from typing import Any


def plain() -> None:
    """Bring each tenant to each goal by Alembic alone, in a fork for each of both."""
    import alembic.config  # noqa: PLC0415

    ini, goals, tenants = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])

    def go(goal: str, name: str, schema: str) -> str | None:
        said = io.StringIO()
        command = ["-c", ini, "-x", f"tenant={name}", "-x", f"schema={schema}", "upgrade", goal]
        try:
            with redirect_stdout(said), redirect_stderr(said):
                alembic.config.main(command, prog="alembic")
        except SystemExit as end:
            return said.getvalue() + str(end.code)
        except BaseException:  # noqa: BLE001  what a script raises
            return traceback.format_exc()
        return None

    gc.freeze()
    print(json.dumps([{n: _forked(go, goal, n, s) for n, s in tenants.items()} for goal in goals]))  # noqa: T201


def _forked(function: Any, *arguments: str) -> str | None:
    """Call a function in a fork of its own and return what it returns."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        with os.fdopen(writes, "w") as pipe:
            json.dump(function(*arguments), pipe)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else "the process died"


def ours() -> None:
    """Bring the fleet to each goal by the default engine, with workers that stay."""
    from tenantmig import Fleet, Selection  # noqa: PLC0415
    from tenantmig.forkserver import fork_early  # noqa: PLC0415

    fork_early()
    ini, goals = sys.argv[1], json.loads(sys.argv[2])
    runs = []
    with Fleet.open(ini) as fleet, Fleet.open(ini, canary="0") as at_once:
        for goal in goals:
            reports = [fleet.upgrade(goal)]
            skipped = [t.tenant for t in reports[0].tenants if t.outcome == "skipped"]
            if skipped:  # since the canary failed
                only = Selection(names=tuple(skipped), has_wildcards=False)
                reports.append(at_once.upgrade(goal, only))
            runs.append(
                {
                    "tenants": {
                        t.tenant: [t.outcome.value, t.engine, str(t.error or t.to_revision)]
                        for report in reports
                        for t in report.tenants
                    },
                    "obstacles": {k: v for r in reports for k, v in r.obstacles.items()},
                }
            )
    print(json.dumps(runs))  # noqa: T201
