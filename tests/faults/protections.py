"""The protections of the product, each with the text that takes it away and the tests that see it.

`controls.py` carries this list out. A text that no longer stands in the product exactly once makes
the control fail: whoever rewrites a protection says here again what removes it.
"""

from __future__ import annotations

from typing import NamedTuple

LATER = "tests/faults/test_protections.py::test_"
ROLLOUT = "tests/integration/rollout/test_rollout.py::test_"
CUT_OFF = "tests/integration/rollout/test_cut_off.py::test_"
READ_BACK = "tests/integration/engines/test_read_back.py::test_"
OWN = "tests/integration/engines/test_own_commits.py::test_"
LEDGER = "tests/integration/ledger/test_ledger.py::test_"
HOLDER = "tests/integration/postgres/test_lock_holder.py::test_"
PATHS = "tests/unit/history/test_exact_paths.py::test_"
EXTENSIONS = "tests/integration/postgres/test_tenant_extensions.py::test_"
EXACT = "tests/integration/fleet/test_rollback_exact.py::test_"
TRAPS = "tests/integration/engines/test_replay_traps.py::test_"
STATE = "tests/integration/engines/test_session_state.py::test_"
LIMITS = "tests/faults/test_limits.py::test_"
CAPACITY = "tests/integration/postgres/test_capacity.py::test_"
TYPES = "tests/integration/fleet/test_every_type.py::test_"
SCRATCH = "tests/integration/drift/test_scratch.py::test_"
OPTIONS = "tests/integration/drift/test_server_options.py::test_"
CONFINED = "tests/integration/drift/test_confined.py::test_"
LINEAGES = "tests/integration/fleet/test_lineages.py::test_"
FOREIGN = "tests/integration/cli/test_foreign_text.py::test_"
DAMAGED = "tests/integration/ledger/test_damaged_ledger.py::test_"
EMPTIED = "UPDATE acme.alembic_version SET version_num = ''"
SENDS = "tests/integration/engines/test_env_sends.py::test_"
WIDE = "tests/integration/rollout/test_wide_names.py::test_"
DRAWING = "engines/autogenerate_worker.py"
SESSION = "tests/integration/postgres/test_session.py::test_"
SOURCES = "tests/unit/test_url_sources.py::test_"
WORKERS = "tests/unit/engines/test_workers.py::test_"
LOADERS = "tests/unit/engines/test_loaders.py::test_"
LOAD_ONCE = "tests/integration/engines/test_load_once.py::test_"
DYING = "tests/faults/test_dying_processes.py::test_"
TAKES = f"{WORKERS}a_killed_worker_takes_its_child_with_it_and_nobody_else"
HOSTILE = "tests/integration/postgres/test_hostile_tenants.py::test_"
BY_NAME = f"{HOSTILE}a_hostile_tenant_is_refused_by_name_and_nothing_of_it_runs"
NOT_CALLED = f"{HOSTILE}what_a_trusted_schema_holds_is_not_called_for_versions_either"
FORGED = "tests/integration/backups/test_forged_backups.py::test_"
DUMP = "tests/integration/backups/test_dump.py::test_"
WALL = "tests/unit/backups/test_dump_wall.py::test_"
GRANTED = "tests/integration/cli/test_grants.py::test_a_role_with_these_grants_and_no_other"
DENIED = "tests/integration/cli/test_denials.py::test_"
OTHERS_OWN = f"{FORGED}what_others_own_is_not_changed_before_they_get_it"
EARLIER = "tests/integration/postgres/test_run_as_early.py::test_"
EARLY = f"{EARLIER}nothing_of_a_tenant_runs_as_the_migrator_early_or_late"
AS_OWNER = f"{FORGED}a_tenants_code_runs_as_the_owner_of_its_schema_on_16"
LOST = (
    "tests/integration/fleet/test_blueprint.py"
    "::test_a_text_that_loses_something_is_found_by_the_proof"
)
CHAIN = (
    "tests/integration/fleet/test_blueprint_obstacles.py"
    "::test_what_another_birth_may_have_otherwise_keeps_to_the_chain"
)
ANEW = "tests/integration/fleet/test_blueprint_keeping.py::test_after_a_change_it_is_made_anew"
RUN_AS = "tests/integration/postgres/test_run_as.py::test_"
NO_MORE = f"{RUN_AS}a_tenants_code_can_do_no_more_than_the_tenant"
POOL = "tests/integration/tenants/test_pool.py::test_"
CLAIMS = "tests/faults/test_pool_claims.py::test_a_claim_that_is_cut_off_at_any_statement"
FENCE = "\n   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)"
ALIVE = """
   AND EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('tenantmig.run:' || id, %(salt)s))"""
RECORD = "        self.xid = record_step(connection, self.options.ledger, assignment, heads)"
RECORD_APART = """
        from contextlib import closing
        from tenantmig.postgres.connection import connect
        with closing(connect(self.options.session)) as other:
            self.xid = record_step(
                other, self.options.ledger, assignment, heads, is_bound=False
            )"""
CLAIM_APART = """    if row is not None and row[0] is not None:
        connection.execute(
            "INSERT INTO tenantmig.tenant (name, schema, state) VALUES (%s, %s, 'active')",
            [claim.tenant.name, claim.tenant.schema],
        )
    return None if row is None else row[0]
"""
LOCK = "        session.lock(tenant.schema)\n"
READ_FIRST = """
        if assignment.kind is not RunKind.ONBOARD:
            self.heads = self._read_heads(session, tenant)
            self.knows_version = True
"""


class Patch(NamedTuple):
    """A text of the package that must stand there once, and what takes its place."""

    file: str
    old: str
    new: str


class Control(NamedTuple):
    """A protection of a promise; without it each of the tests must fail, saying `sign`."""

    promise: str
    protection: str
    patches: tuple[Patch, ...]
    tests: tuple[str, ...]
    sign: str


# The journal's row, held by a transaction that is being committed, tells of the doubt as well.
UNHELD = Patch(
    "ledger/outcomes.py",
    "        return replace(outcome, outcome=Outcome.IN_DOUBT)",
    "        return outcome",
)
SCRIPTS = "tests/faults/test_random_scripts.py::test_random_scripts_are_as_plain_alembic[0]"
ISOLATION = "tests/integration/engines/test_isolation.py::test_as_plain_alembic_alone"
UNISOLATED = Patch(
    "history/proofs.py",
    "            impure = self.of(kind, revision).impure\n",
    "            impure = None\n",
)
CONTROLS = (
    Control(
        "P11",
        "purity is proved (else: replay what no witness objects to)",
        (
            UNISOLATED,
            Patch(
                "history/proofs.py",
                '        return f"{OWN_PROCESS}{proof.impure}" if proof.impure'
                " else proof.not_replayed",
                "        return None",
            ),
        ),
        (SCRIPTS,),  # env.py alone keeps the others from being replayed
        "differs from plain Alembic",
    ),
    Control(
        "P11",
        "a process for each tenant where a script is impure",
        (UNISOLATED,),
        (SCRIPTS, f"{ISOLATION}[keeps-alembic-server]"),
        "differs from plain Alembic",
    ),
    Control(
        "P11",
        "parameters are typed, in random scripts",
        (
            Patch(
                "postgres/literals.py",
                "        given = _used(statement, parameters)",
                "        return self._cursor.mogrify(statement.encode(), parameters)",
            ),
        ),
        (SCRIPTS,),
        "differs from plain Alembic",
    ),
    Control(
        "P1",
        "the tenant's lock",
        (
            Patch(
                "postgres/tenant_lock.py",
                "while not _try_lock(connection, schema):",
                "while False:",
            ),
        ),
        (f"{ROLLOUT}a_tenant_locked_by_plain_alembic_is_waited_for",),
        "'failed': 1",
    ),
    Control(
        "P1",
        "current_schema() asserted, by the journal and by env.py",
        (
            Patch(
                "ledger/sql/record_step.sql",
                "OR pg_catalog.current_schema() OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.text",
                "OR true",
            ),
            Patch("env.py", "    if current != expected:", "    if False:"),
        ),
        (f"{ROLLOUT}a_script_that_leaves_the_tenant_is_rolled_back[SET search_path = public]",),
        "table public.stray",
    ),
    Control(
        "P2",
        "DISCARD ALL between tenants",
        (Patch("postgres/session.py", '            connection.execute("DISCARD ALL")\n', ""),),
        (f"{ROLLOUT}what_one_tenant_leaves_on_the_connection_is_gone_for_the_next",),
        '.seen" does not exist',  # of b or c, whichever is given the used session
    ),
    Control(
        "P3",
        "the journal in the revision's transaction",
        (Patch("engines/worker.py", RECORD, RECORD_APART),),
        (f"{LATER}the_ledger_does_not_run_ahead_of_a_commit_that_never_arrived",),
        "{'in_doubt': 1}",  # it is read back now, and does not agree
    ),
    Control(
        "P3",
        "the epoch that fences an overtaken driver out",
        (
            Patch("ledger/sql/begin_attempt.sql", FENCE, ""),
            Patch("ledger/sql/record_outcome.sql", FENCE, ""),
            Patch("ledger/sql/finish_run.sql", " AND epoch = %(epoch)s", ""),
        ),
        tuple(
            f"{LATER}a_driver_that_was_overtaken_writes_nothing[{how}]"
            for how in ("attempt", "outcome", "end")
        ),
        "DID NOT RAISE",
    ),
    Control(
        "P3",
        "only the next leg goes on with an attempt that has begun",
        (
            Patch(
                "ledger/sql/begin_attempt.sql",
                "OR %(is_onward)s AND attempts =", "OR attempts =",
            ),
        ),
        (f"{LEDGER}only_the_next_leg_goes_on_with_an_attempt",),
        "DID NOT RAISE",
    ),
    Control(
        "P7",
        "a tenant in trouble is no canary",
        (Patch("rollout/waves_at_work.py", "canary.healthy(rest) or rest", "rest"),),
        ("tests/integration/rollout/test_sick_tenants.py::test_a_stuck_tenant_goes_last_and_blocks_no_release",),
        "AssertionError",
    ),
    Control(
        "P7",
        "what goes wrong while one tenant is planned is its own problem",
        (
            Patch(
                "rollout/planner.py",
                "except Exception as error:  # noqa: BLE001  what is wrong",
                "except OSError as error:  # what is wrong",
            ),
        ),
        ("tests/integration/fleet/test_older_code.py::test_no_tenant_ends_a_command_for_the_fleet",),
        "VersionTableError",
    ),
    Control(
        "P2",
        "what takes something away needs --yes where nobody can answer",
        (
            Patch("cli/confirmation.py", "    if json or not is_terminal:", "    if False:"),
            Patch("cli/confirmation.py", "    if plan.pending:", "    if False:"),
        ),
        ("tests/integration/cli/test_confirmation.py::test_without_a_terminal_it_needs_yes",),
        "exit 0",
    ),
    Control(
        "P1",
        "the server's own options are no part of a catalog",
        (
            Patch(
                "catalog/sql/catalog_objects.sql",
                "split_part(option, '=', 1) = ANY(%(of_columns)s::text[])",
                "%(of_columns)s::text[] IS NOT NULL",
            ),
        ),
        (f"{OPTIONS}the_servers_own_option_is_no_difference[]",),
        "exit 5",
    ),
    Control(
        "P3",
        "a tenant that was left out stays in the report",
        (Patch("rollout/refusals.py", "list(plan.left_out) + [", "["),),
        ("tests/integration/fleet/test_rollback.py::test_a_rollback_that_leaves_tenants_says_so",),
        "RunState.COMPLETE",
    ),
    Control(
        "P4",
        "lock first, then read",
        (
            Patch("engines/worker.py", LOCK, READ_FIRST + LOCK),
            Patch(
                "engines/worker.py",
                "heads = self._read_heads(session, assignment.tenant)",
                "heads = self.heads",
            ),
        ),
        (f"{ROLLOUT}a_tenant_locked_by_plain_alembic_is_waited_for",),
        "'failed': 1",
    ),
    Control(
        "P4",
        "the parts of an autocommit_block, remembered",
        (Patch("ledger/parts.py", "= read_parts(connection, ledger, schema)", "= ()"),),
        (f"{LATER}a_statement_outside_a_transaction_is_not_run_twice",),
        "assert 2 == 1",
    ),
    Control(
        "P4",
        "one run begins at a time",
        (
            Patch(
                "ledger/ledger.py",
                "self.connection.execute(FLEET_LOCK, ",
                "(lambda *_: None)(FLEET_LOCK, ",
            ),
        ),
        (f"{LATER}of_two_runs_begun_at_once_one_is_refused",),
        "assert 0 == 1",
    ),
    Control(
        "P5",
        "one lock timeout for all waits of a transaction",
        (Patch("postgres/session.py", "                self._cap_lock_wait()\n", ""),),
        (f"{LATER}the_waits_of_one_transaction_share_the_lock_timeout",),
        "assert 1000 <",
    ),
    Control(
        "P6",
        "the server looks whether its client lives",
        (Patch("postgres/sql/bind_session.sql", "check_interval', '1s'", "check_interval', '0'"),),
        (f"{LATER}nothing_of_a_killed_driver_goes_on",),
        "its statement goes on",
    ),
    Control(
        "P6",
        "workers end with their driver",
        (
            Patch("engines/children.py", "    end_with(self.driver)\n", ""),
            Patch("forking.py", "os.kill(pid, signal.SIGKILL)  # not", "pass  # not"),
        ),
        (f"{LATER}nothing_of_a_killed_driver_goes_on",),
        "its statement goes on",
    ),
    Control(
        "P7",
        "the keys of locks are secret",
        (Patch("postgres/connection.py", "        connection.lock_salt = row", "        _ = row"),),
        (f"{HOLDER}who_cannot_read_the_ledger_is_in_nobodys_way[alembic]",),
        "assert 4 == 0",
    ),
    Control(
        "P3",
        "a restore read back",
        (Patch("engines/restoring.py", "            self._read_back(assignment)\n", ""),),
        (f"{READ_BACK}a_restore_is_read_back[DELETE FROM]",),
        "RESTORED",
    ),
    Control(
        "P3",
        "an adoption read back",
        (Patch("fleet/adoption_writer.py", "        if left != wanted:", "        if False:"),),
        ("tests/integration/fleet/test_adopt.py::test_an_adoption_is_read_back[True]",),
        "exit 0",
    ),
    Control(
        "P6",
        "a run has its lock or does not begin",
        (Patch("ledger/ledger.py", "!= (True,):", "== ():"),),
        (f"{HOLDER}a_stranger_holds_the_next_run",),
        "assert 0 == 4",
    ),
    Control(
        "P6",
        "the child of a dying worker ends with it",
        (
            Patch("engines/children.py", "    be_killed_with(parent)\n", ""),
            Patch("engines/children.py", "    end_with(parent)\n", ""),
        ),
        (f"{TAKES}[hanging_child]",),
        "its child lives on",
    ),
    Control(
        "P6",
        "the child of a dying worker is killed by the kernel",
        (Patch("engines/children.py", "    be_killed_with(parent)\n", ""),),
        (f"{TAKES}[hang_in_child_with_the_interpreter]",),
        "its child lives on",
    ),
    Control(
        "P11",
        "a worker has the environment that its driver has now",
        (Patch("engines/children.py", "os.environ.update(self.variables)", "pass"),),
        (f"{WORKERS}a_worker_has_what_the_driver_has_when_it_is_asked[new worker]",),
        "AssertionError: assert",
    ),
    Control(
        "P11",
        "a kept worker is not asked when its driver's surroundings have changed",
        (Patch("engines/workers.py", "started_in == here and ", ""),),
        (f"{WORKERS}a_worker_has_what_the_driver_has_when_it_is_asked[kept worker]",),
        "AssertionError",
    ),
    Control(
        "P11",
        "a loader is not used when its driver's surroundings have changed",
        (
            Patch(
                "engines/loaders.py",
                "if self._running is not None and self._running.here != here:",
                "if False:",
            ),
        ),
        (f"{LOADERS}a_worker_has_what_the_driver_has_when_it_is_asked",),
        "AssertionError",
    ),
    Control(
        "P11",
        "a process in which an import left something is not forked",
        (Patch("engines/loading.py", "if _held() != held or _has_children():", "if False:"),),
        (f"{LOAD_ONCE}a_process_in_which_an_import_leaves_something_is_not_forked[thread]",),
        'found["models"] > 2',
    ),
    Control(
        "P11",
        "what env.py imports after a statement that may matter is not imported earlier",
        (
            Patch(
                "history/purity/importing.py",
                "                case _ if not is_pure:\n                    break\n",
                "",
            ),
        ),
        (f"{LOAD_ONCE}what_stands_after_a_statement_that_may_matter_is_not_loaded_early",),
        "AssertionError",
    ),
    Control(
        "P11",
        "what env.py imports is imported earlier only if that is proved to do nothing else",
        (
            Patch(
                "history/purity/importing.py",
                "if found is None or prover.loading.does(found) is not None:",
                "if found is None:",
            ),
        ),
        (f"{LOAD_ONCE}imports_that_are_not_proved_are_loaded_as_by_plain_alembic",),
        "AssertionError",
    ),
    Control(
        "P7",
        "a dying loader is replaced",
        (Patch("engines/loaders.py", "self._discard(loader)\n", "pass\n"),),
        (f"{LOADERS}a_dead_loader_costs_nothing",),
        "AssertionError",
    ),
    Control(
        "P7",
        "a dying fork server is replaced",
        (Patch("forkserver.py", "            self._discard(requests)\n", ""),),
        (f"{WORKERS}a_dead_fork_server_costs_nothing",),
        "WorkerStartError",
    ),
    Control(
        "P7",
        "a worker dying while it is idle is replaced",
        (
            Patch("engines/workers.py", " and not worker.has_ended():", ":"),
            Patch(
                "engines/workers.py",
                "    except ConnectionError:\n        return None\n",
                "    finally:\n        pass\n",
            ),
        ),
        (f"{WORKERS}a_worker_killed_while_idle_costs_nothing",),
        "BrokenPipeError",
    ),
    Control(
        "P6",
        "a run lives no longer than its driver's lock",
        (Patch("ledger/sql/live_runs.sql", ALIVE, ""),),
        (f"{LATER}a_dead_drivers_run_keeps_nobody_out",),
        "FleetBusyError",
    ),
    Control(
        "P6",
        "the run's advisory lock",
        (
            Patch(
                "ledger/ledger.py",
                "SELECT pg_try_advisory_lock_shared({RUN_LOCK})",
                "SELECT {RUN_LOCK} IS NOT NULL",
            ),
        ),
        (f"{LEDGER}a_run_lives_as_long_as_its_driver",),
        "interrupted",
    ),
    Control(
        "P6",
        "an index that was not built is dropped",
        (
            Patch(
                "ledger/parts.py",
                "            if not known.is_atomic:\n"
                "                known.prepare(connection, self.schema)\n",
                "",
            ),
        ),
        (f"{LATER}an_index_that_could_not_be_built_is_cleared_away",),
        "in_doubt",
    ),
    Control(
        "P3",
        "the outcome read back after its COMMIT",
        (
            Patch(
                "engines/worker.py",
                "        read_back_outcome(session, self.options.ledger, table, assignment,"
                " target)\n",
                "",
            ),
        ),
        (f"{READ_BACK}what_does_not_agree_after_the_commit_is_in_doubt_and_never_done",),
        "upgraded",
    ),
    Control(
        "P3",
        "Alembic told of the transaction after a commit() of the script",
        (Patch("postgres/step_watch.py", "known is None or known is current", "True"),),
        (f"{READ_BACK}plain_alembic_keeps_the_version_row_of_a_script_that_commits[acme]",),
        "version table says r1, not r2",
    ),
    Control(
        "P8",
        "a commit() of the script, journaled",
        (
            Patch(
                "postgres/session.py",
                "self._watcher is not None and not is_whole",
                "self._watcher is None and not is_whole",
            ),
        ),
        (f"{OWN}a_kill_after_a_commit_never_does_the_first_half_twice[alembic]",),
        "upgraded",
    ),
    Control(
        "P8",
        "the parts of an autocommit_block, remembered",
        (Patch("ledger/parts.py", "= read_parts(connection, ledger, schema)", "= ()"),),
        (f"{CUT_OFF}a_part_that_was_committed_is_not_run_again_after_a_kill",),
        "<Outcome.FAILED: 'failed'> is <Outcome.IN_DOUBT: 'in_doubt'>",
    ),
    Control(
        "P8",
        "lock first, then read; a row held by the doubt itself",
        (Patch("engines/worker.py", LOCK, READ_FIRST + LOCK), UNHELD),
        (f"{LATER}a_commit_that_hangs_is_in_doubt_and_is_not_run_again",),
        "'failed': 1",
    ),
    Control(
        "P8",
        "a lost COMMIT is no failure; a row held by the doubt itself",
        (
            UNHELD,
            Patch(
                "domain/failure.py",
                "return FailureKind.LOST_COMMIT if is_open else FailureKind.TRANSIENT",
                "return FailureKind.TRANSIENT",
            ),
        ),
        (f"{LATER}a_commit_that_hangs_is_in_doubt_and_is_not_run_again",),
        "'failed': 1",
    ),
    Control(
        "P1",
        "the version row, compared before a replay sets it",
        (
            Patch(
                "engines/sql/replay_reached.sql",
                "SELECT version_num OPERATOR(pg_catalog.=) {stands}\n"
                "                AND xmin OPERATOR(pg_catalog.=)"
                " pg_catalog.pg_current_xact_id()::pg_catalog.xid\n               FROM {table}",
                "SELECT true",
            ),
        ),
        ("tests/faults/test_replay.py::test_somebody_moves_a_tenant_before_its_text_arrives",),
        "[(2,)] == [(1,)]",
    ),
    Control(
        "P1",
        "what comes back to a script is not replayed",
        (Patch("engines/witness.py", "if cursor.rowcount or last is None", "if last is None"),),
        (f"{TRAPS}a_trap[a branch on a count]",),
        "set() == {'r2'}",
    ),
    Control(
        "P1",
        "a script that asks for the tenant is not replayed",
        (
            Patch("engines/tripwires.py", 'note(f"it reads {kind', '(f"it reads {kind'),
            Patch(
                "engines/auto.py",
                "obstacle = self._proofs().obstacle(assignment.kind, revision)",
                "obstacle = None",
            ),
        ),
        tuple(
            f"{TRAPS}a_trap[a branch on the tenant's name, by {how}]"
            for how in ("-x", "the configuration", "the context", "the translate map")
        ),
        "Differing items:",
    ),
    Control(
        "P1",
        "exactly the planned revisions are run, over merges and branches",
        (
            Patch(
                "engines/onward.py",
                "return self.history.exact_steps(kind, rest)(heads, context)",
                "return self.history.steps(kind, path.destination)(heads, context)",
            ),
        ),
        (f"{EXACT}each_tenant_comes_to_exactly_the_heads_that_it_had[alembic]",),
        "AssertionError",
    ),
    Control(
        "P1",
        "version rows of which none is beneath another",
        (Patch("history/heads.py", "if others or len(beneath) > 1:", "if False:"),),
        (f"{PATHS}any_state_goes_to_exactly_any_other_above_or_below_it[2]",),
        "its version rows would differ",
    ),
    Control(
        "P2",
        "an extension that others use is not dropped with a failed onboarding",
        (
            Patch(
                "postgres/tenant_extensions.py",
                "DROP EXTENSION {} RESTRICT", "DROP EXTENSION {} CASCADE",
            ),
        ),
        (f"{EXTENSIONS}what_another_tenant_uses_is_moved[True]",),
        "AssertionError",
    ),
    Control(
        "P6",
        "after a failed attempt alembic reads where the tenant stands",
        (Patch("engines/auto.py", "self._refused.add(assignment.tenant.name)", "pass"),),
        ("tests/faults/test_replay.py::test_a_witness_that_is_cut_off_on_its_way_goes_on_where_it_stands[r4]",),
        "is_complete",
    ),
    Control(
        "P9",
        "passwords taken out of messages",
        (Patch("domain/database_url.py", "return redact_line(text, self.secrets)", "return text"),),
        (f"{LATER}a_refused_connection_tells_no_password",),
        "hunter2",
    ),
    Control(
        "P9",
        "the newest passwords of the command taken out of messages",
        (
            Patch(
                "domain/database_url.py",
                "(*self.fixed_secrets, *produced)", "self.fixed_secrets",
            ),
        ),
        (f"{SOURCES}a_command_gives_the_password_anew_each_time",),
        "a token-",
    ),
    Control(
        "P9",
        "no value of the ini told where it cannot be read",
        (Patch("engines/env_look.py", "str(say_error(error))", "str(error)"),),
        ("tests/integration/engines/test_env_look.py::test_no_value_of_the_ini_is_told",),
        "hunter2",
    ),
    Control(
        "P2",
        "what env.py sends by itself refused in the run",
        (
            Patch(
                "engines/env_watch.py",
                "what = None if self._is_script else judge(text, self.path)",
                "what = None",
            ),
        ),
        tuple(
            f"{SENDS}what_the_look_cannot_see_is_refused_in_the_run[{way}]"
            for way in ("after a read", "over an engine of its own")
        ),
        "upgraded",
    ),
    Control(
        "P2",
        "what env.py sends by itself told before a run",
        (Patch("engines/env_look.py", "what = judge(text, path)", "what = None"),),
        (f"{SENDS}every_command_says_so_and_status_goes_on",),
        "exit 0",
    ),
    Control(
        "P7",
        "a thread that a full server refuses leaves",
        (Patch("rollout/hearing.py", "elif is_full(", "elif False and ("),),
        tuple(f"{LIMITS}a_refused_thread_leaves_at_once[{way}]" for way in ("auto", "alembic")),
        "they do not leave",
    ),
    Control(
        "P7",
        "a server that restarts is not taken for full",
        (
            Patch(
                "ledger/activity.py",
                "free_connections(ledger.connection) + int(idle) <= 0", "True",
            ),
        ),
        (
            f"{CAPACITY}a_server_that_is_gone_is_not_full",
            f"{CAPACITY}a_server_is_full_when_it_answers_and_has_no_connection_left",
        ),
        "assert not True",
    ),
    Control(
        "P7",
        "who finds the lock table full is tried again alone",
        (Patch("rollout/attempts.py", "with self._turns.alone(PATIENCE_S):", "if True:"),),
        (f"{LIMITS}the_lock_table_has_room_for_fewer[0.6-told0]",),
        "room_for_fewer",
    ),
    Control(
        "P2",
        "only a schema that says so is a scratch schema",
        (Patch("drift/sql/abandoned_scratch.sql", "= %(mark)s", "IS NOT NULL OR %(mark)s = ''"),),
        (f"{SCRATCH}a_schema_that_only_has_such_a_name_stays",),
        "of_mine",
    ),
    Control(
        "P2",
        "what a transaction in a scratch schema touched is looked up before its COMMIT",
        (
            Patch(
                "postgres/confined.py",
                "() if self.refusal else self._outside", "() and self._outside",
            ),
        ),
        (f"{CONFINED}a_shared_table_that_the_history_also_makes_keeps_its_rows[database]",),
        "3 sound",
    ),
    Control(
        "P2",
        "an observer knows what was dropped there",
        (
            Patch(
                "postgres/touched.py",
                " + ask(self._observing, locks, facts, is_prepared=True)", "",
            ),
        ),
        (f"{CONFINED}a_shared_table_that_the_history_also_makes_keeps_its_rows[database]",),
        "The check stopped: revision r2 touches public.regions",
    ),
    Control(
        "P2",
        "what is written there without a lock is found in the catalogs",
        (Patch("postgres/touched.py", " | self._written(connection, facts)", ""),),
        (f"{CONFINED}what_reaches_out_is_not_tried_and_what_stays_is[database]",),
        "revision out_type: type",
    ),
    Control(
        "P2",
        "a statement outside a transaction gets one there",
        (
            Patch(
                "postgres/confined.py",
                "if not self.autocommit or is_alone or is_open:", "if True:",
            ),
        ),
        (f"{CONFINED}what_reaches_out_is_not_tried_and_what_stays_is[database]",),
        "revision out_value: enum label",
    ),
    Control(
        "P2",
        "a script acts on no file there, and starts no program",
        (Patch("engines/acts.py", "listener.refuse = refuse", "listener.refuse = None"),),
        (f"{CONFINED}what_reaches_out_is_not_tried_and_what_stays_is[database]",),
        "out_removal.py",
    ),
    Control(
        "P2",
        "a script opens no connection of its own there",
        (Patch("engines/acts.py", "if is_ours() else refuse(OWN)", ""),),
        (f"{CONFINED}an_environment_that_reaches_out",),
        "opens a connection",
    ),
    Control(
        "P2",
        "nothing is tried out in the shared schema",
        (
            Patch(DRAWING, " if schemas.is_scratch else ()", ""),
            Patch(DRAWING, "default_transaction_read_only = on", "ROLE none"),
        ),
        (f"{LINEAGES}nothing_is_tried_out_in_the_shared_schema",),
        "assert",
    ),
    Control(
        "P2",
        "no new script names a scratch schema",
        (Patch("history/script_writer.py", "is not None and absent in line", "== line"),),
        (f"{TYPES}a_script_that_names_the_scratch_schema_is_refused",),
        "DID NOT RAISE",
    ),
    Control(
        "P6",
        "a scratch schema that is in use stays, one that is not goes",
        (
            Patch(
                "drift/sql/abandoned_scratch.sql",
                "pg_try_advisory_lock(hashtextextended('tenantmig.scratch:' || nspname, %(salt)s))",
                "true",
            ),
        ),
        (f"{SCRATCH}what_a_killed_command_left_is_dropped_by_the_next",),
        "assert",
    ),
    Control(
        "P7",
        "no tenant is touched after the shared lineage failed",
        (Patch("fleet/fleet.py", "shared is not None and not shared.is_complete", "False"),),
        (f"{LINEAGES}if_it_fails_no_tenant_is_touched",),
        "exit 0",
    ),
    Control(
        "P1",
        "a parameter is replayed with the type that it had",
        (
            Patch(
                "postgres/literals.py",
                "        given = _used(statement, parameters)",
                "        return self._cursor.mogrify(statement.encode(), parameters)",
            ),
        ),
        (f"{TRAPS}a_trap[parameters with a type]",),
        "assert",
    ),
    Control(
        "P1",
        "what a revision leaves on its session is there for the rest of the path",
        (Patch("engines/onward.py", "if self.state.left and", "if False and"),),
        (f"{STATE}what_is_left_is_there_for_later_revisions_of_the_run[newest]",),
        "a setting",
    ),
    Control(
        "P1",
        "no second attempt without what was left",
        (Patch("engines/onward.py", "if not (self.state.left and", "if not (False and"),),
        (f"{STATE}no_second_attempt_is_made_without_what_was_left[auto]",),
        "failed",
    ),
    Control(
        "P2",
        "the session is cleared before each tenant of a replay",
        (
            Patch("engines/sql/replay_enter.sql", "RESET ALL;\n", ""),
            Patch("engines/sql/replay_enter.sql", "DISCARD TEMP;\n", ""),
            Patch("engines/replay.py", "            if is_marked:\n", "            if False:\n"),
        ),
        (f"{STATE}what_is_left_never_reaches_the_next_tenant[newest]",),
        "next1",
    ),
    Control(
        "P11",
        "looking at the session keeps no snapshot in Alembic's transaction",
        (Patch("postgres/session_state.py", "psycopg.ClientCursor(driver)", "driver.cursor()"),),
        (f"{OWN}a_kill_after_a_commit_never_does_the_first_half_twice[alembic]",),
        "failed",
    ),
    Control(
        "P5",
        "our limits hold again in the next revision",
        (Patch("engines/onward.py", "            set_limits(driver, self.session.options)\n", ""),),
        (f"{STATE}what_is_left_is_there_for_later_revisions_of_the_run[newest]",),
        "limits",
    ),
    Control(
        "P3",
        "what a replay's COMMIT left is read back",
        (
            Patch(
                "engines/replay.py",
                "if found != (*texts.left, assignment.tenant.schema):",
                "if False:",
            ),
        ),
        (f"{STATE}a_version_that_changes_with_the_commit_is_in_doubt[newest]",),
        "in_doubt",
    ),
    Control(
        "P10",
        "a limit of our own on every answer",
        (Patch("postgres/connection.py", "timeout or self.answer_within_s)", "timeout)"),),
        (f"{LATER}a_server_that_never_answers_is_given_up",),
        "Timeout",
    ),
    Control(
        "P12",
        "foreign text made safe before it is printed",
        (
            Patch(
                "cli/printing.py",
                "one_line(o) if isinstance(o, str) else o for o in objects",
                "o for o in objects",
            ),
        ),
        (f"{FOREIGN}no_command_prints_what_a_terminal_or_a_ci_obeys",),
        "U+",
    ),
    Control(
        "P12",
        "what scripts print made safe",
        (Patch("engines/environment.py", "write(lines(text))", "write(text)"),),
        (f"{FOREIGN}no_command_prints_what_a_terminal_or_a_ci_obeys",),
        "U+",
    ),
    Control(
        "P12",
        "secrets of the environment known",
        (
            Patch(
                "domain/redaction.py",
                "[environment[key] for key in SECRET_VARIABLES if key in environment]",
                "[]",
            ),
        ),
        (f"{FOREIGN}a_password_of_the_environment_is_told_nowhere",),
        "Zq",
    ),
    Control(
        "P12",
        "the gate's environment without secrets",
        (Patch("rollout/gate.py", "            env=dict(self.environment),\n", ""),),
        (f"{FOREIGN}the_gate_gets_no_secret",),
        "PGPASSWORD",
    ),
    Control(
        "P12",
        "a version table read with care",
        (
            Patch(
                "postgres/version_rows.py",
                "wrong or _problem(facts, version_table)",
                "_problem(facts, version_table)",
            ),
        ),
        (f"{DAMAGED}a_tenant_that_is_wrong_keeps_nobody[{EMPTIED}-an empty string]",),
        "assert",
    ),
    Control(
        "P12",
        "no tenant moved by a row of the ledger that is wrong",
        (
            Patch(
                "ledger/rows.py",
                "(not isinstance(value, str) or not value)",
                "not isinstance(value, str)",
            ),
        ),
        (f"{DAMAGED}a_row_that_is_wrong_is_no_ground_to_move_a_tenant[from_revision-'']",),
        "assert",
    ),
    Control(
        "P12",
        "brackets refused in names",
        (Patch("domain/tenant.py", 'if "[" in name or "]" in name:', "if False:"),),
        (f"{WIDE}a_bracket_is_refused_before_anything_is_made[a[b]]",),
        "",
    ),
    Control(
        "P12",
        "a tenant whose role could run code is refused",
        (
            Patch(
                "postgres/version_rows.py",
                "        if schema in found and not trusts(connection, schema)\n",
                "        if False\n",
            ),
        ),
        (f"{BY_NAME}[newest-alembic]",),
        "'cast_text': ['cast']",
    ),
    Control(
        "P12",
        "Alembic's version statements name their operator",
        (Patch("history/translation.py", "qualify(construct)", "construct"),),
        (f"{NOT_CALLED}[newest-alembic]",),
        "varchar=varchar",
    ),
    Control(
        "P12",
        "looking for the version table names its operators",
        (
            Patch(
                "postgres/script_engine.py",
                "    engine.dialect.has_table = has_table  # type: ignore[method-assign]\n",
                "",
            ),
        ),
        (f"{NOT_CALLED}[newest-alembic]",),
        "name=varchar",
    ),
    Control(
        "P12",
        "a replay's version statements name their operators",
        (
            Patch(
                "engines/transactions.py",
                " WHERE version_num OPERATOR(pg_catalog.=) {source}",
                " WHERE version_num = {source}",
            ),
        ),
        (f"{NOT_CALLED}[newest-auto]",),
        "varchar=varchar",
    ),
    Control(
        "P12",
        "plain Alembic looks a schema through",
        (
            Patch(
                "env.py",
                "refuse_danger(connection, self.schema, self.settings.version_table)",
                "pass",
            ),
        ),
        (f"{HOSTILE}plain_alembic_refuses_as_well[newest]",),
        "AssertionError",
    ),
    Control(
        "P12",
        "a policy that hides rows fails the revision",
        (
            Patch(
                "postgres/connection.py",
                '"row_security": options.row_security', '"row_security": "on"',
            ),
            Patch(
                "engines/transactions.py",
                "row_security=self.options.row_security",
                'row_security="on"',
            ),
        ),
        (f"{HOSTILE}a_policy_that_hides_rows_fails_the_revision[newest-auto]",),
        "AssertionError",
    ),
    Control(
        "P2",
        "a dump lists all that the schema holds",
        (
            Patch(
                "backups/dump.py",
                "missing = len(relay.listed - listed) if relay.listed is not None else None",
                "missing = 0",
            ),
        ),
        tuple(
            f"{DUMP}an_object_that_the_relay_would_hide_is_noticed[{one}]" for one in ("v", "mv")
        ),
        "assert None",
    ),
    Control(
        "P2",
        "the relay refuses what it does not know",
        (
            Patch(
                "backups/dump_wire.py",
                '        if kind != b"Q":',
                "        if False:",
            ),
        ),
        (f"{DUMP}what_the_relay_does_not_know_is_refused",),
        "of the unknown type",
    ),
    Control(
        "P2",
        "the relay's own questions mean PostgreSQL's operators",
        (Patch("backups/dump_relay.py", "            connection.execute(BARE_PATH)\n", ""),),
        (f"{DUMP}a_tenant_cannot_stand_in_the_way_of_the_relay",),
        "trap",
    ),
    Control(
        "P2",
        "pg_dump is told no password",
        (Patch("backups/connecting.py", '(OWN_VARIABLES, "PG") if', "(OWN_VARIABLES,) if"),),
        ("tests/integration/backups/test_backup.py::test_pg_dump_is_told_no_secret",),
        "assert SECRET not in given",
    ),
    Control(
        "P2",
        "a dump does not read the other tenants",
        (
            Patch(
                "backups/dump_relay.py",
                "self._scope.narrow(question.decode()).encode()",
                "question",
            ),
        ),
        (f"{DUMP}pg_dump_does_not_hear_of_other_tenants",),
        "AssertionError",
    ),
    Control(
        "P2",
        "pg_dump sees a user's own objects in pg_catalog",
        (
            Patch(
                "backups/sql/dump_scope.sql",
                "    SELECT classid, objid FROM touched -- of what",
                "    SELECT classid, objid FROM touched WHERE false -- of what",
            ),
        ),
        (f"{DUMP}what_lies_in_pg_catalog_and_is_not_of_initdb_is_seen",),
        "assert found == expected",
    ),
    Control(
        "P2",
        "a relay that cannot begin is told",
        (Patch("backups/dump.py", "            tell(relay.problem)\n", "            pass\n"),),
        (f"{DUMP}a_relay_without_a_place_for_its_socket_is_told",),
        "assert [] == [True]",
    ),
    Control(
        "P2",
        "what the server refuses to pg_dump is an error, not a reason for the slow way",
        (Patch("backups/dump.py", "if relay.is_refused or limits.problem:", "if limits.problem:"),),
        (f"{DUMP}what_the_server_refuses_is_not_asked_again",),
        "assert [True, False] == [True]",
    ),
    Control(
        "P2",
        "a backup is read before a restore",
        (
            Patch(
                "backups/restore_script.py",
                "        for statement in statements:\n            wall.look(statement)",
                "        for _ in statements:\n            pass",
            ),
            Patch(
                "backups/dump_wall.py",
                "        except ForeignNameError as error:\n            raise BackupRefusedError(",
                "        except ForeignNameError as error:\n            return Turn.MAKE\n"
                "            raise BackupRefusedError(",
            ),
        ),
        (f"{FORGED}a_forged_backup_is_refused_on_16",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "a backup names only its own schema",
        (
            Patch(
                "backups/dump_names.py",
                "        if schema not in (*SYSTEM, self.schema) and schema not in self.outside:",
                "        if False:",
            ),
        ),
        (f"{WALL}what_does_not_belong_in_a_backup_is_refused[CREATE TABLE acme.t (a beta.mood);]",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "rows end where the reader says",
        (
            Patch(
                "backups/dump_script.py",
                '        if line.startswith(b"\\\\.") or b"\\0" in line'
                ' or not line.endswith(b"\\n"):\n'
                "            break\n",
                "",
            ),
        ),
        tuple(
            f"{WALL}what_ends_rows_for_others_is_refused[{row}]" for row in ("cr", "more", "nul")
        ),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "a proof of a backup is asked for",
        (
            Patch(
                "fleet/recovery.py",
                "        if not trust_file:\n            raise\n",
                "",
            ),
        ),
        (f"{FORGED}a_signature_or_the_ledger_proves_a_backup",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "a tenant's code cannot leave its role (SET ROLE alone)",
        (
            Patch(
                "backups/restore_script.py",
                "        self._settle()\n        self.session.run(call)",
                '        self._run("SET ROLE {role}")\n        self.session.run(text)\n'
                '        self.session.run("RESET ROLE")',
            ),
        ),
        (AS_OWNER,),
        "AssertionError",
    ),
    Control(
        "P2",
        "a tenant's code runs as the tenant",
        (
            Patch(
                "backups/restore_roles.py",
                "    return next((role for role in candidates if role not in barred), None)",
                "    return None",
            ),
        ),
        (AS_OWNER,),
        "AssertionError",
    ),
    Control(
        "P2",
        "no trigger of the tenant waits for the COMMIT",
        (Patch("backups/restore_script.py", "            self._refuse_deferred()\n", ""),),
        (f"{FORGED}a_trigger_that_waits_for_the_commit_is_refused",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "owners are roles of the tenant",
        (Patch("backups/restore_roles.py", "    if strangers:", "    if False:"),),
        (f"{FORGED}an_owner_who_is_a_stranger_is_refused",),
        "DID NOT RAISE",
    ),
    Control(
        "P3",
        "a failed restore is read back",
        (Patch("backups/restore.py", "    if after == before:", "    if True:"),),
        (f"{FORGED}what_a_failed_restore_says_is_read_back",),
        "Regex pattern did not match",
    ),
    Control(
        "P1",
        "a % in a name is no placeholder",
        (Patch("backups/restore_statements.py", "parameters or None", "parameters"),),
        (f"{FORGED}every_wide_name_goes_and_comes_back",),
        "AssertionError",
    ),
    Control(
        "P2",
        "a tenant's code changes nothing that others get",
        (
            Patch(
                "backups/restore_script.py",
                "        if self.session.ask(query) != before:",
                "        if False:",
            ),
        ),
        (f"{OTHERS_OWN}[ALTER FUNCTION acme.ours() SECURITY DEFINER]",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "a reader does not write",
        (
            Patch(
                "fleet/status.py",
                "    troubles, partial =",
                '    ledger.query("ledger/fence_dead_runs", {"kinds": [], "alive": []})\n'
                "    troubles, partial =",
            ),
        ),
        (f"{GRANTED}[tenantmig status]", f"{DENIED}a_role_that_only_reads"),
        "AssertionError",
    ),
    Control(
        "P6",
        "a run asks for all its rights on the ledger before it begins",
        (
            Patch(
                "rollout/run.py",
                "    ledger_rights.require(ledger, ledger_rights.needs_of_run(plan))\n",
                "",
            ),
        ),
        (f"{GRANTED}[tenantmig upgrade -t acme]", f"{GRANTED}[tenantmig onboard gamma]"),
        "AssertionError",
    ),
    Control(
        "P3",
        "a version table that may not be read is not stamped",
        (Patch("postgres/version.py", " or self.is_unsafe or self.is_forbidden", ""),),
        (f"{GRANTED}[tenantmig stamp r2 -t acme]",),
        "AssertionError",
    ),
    Control(
        "P12",
        "what the server denies is told with the GRANT that is lacking",
        (Patch("ledger/denial.py", "    return _sentence(rows)", '    return ""'),),
        (
            f"{GRANTED}[tenantmig tenants adopt delta]",
            f"{DENIED}nobody_is_told_to_become_a_superuser",
        ),
        "AssertionError",
    ),
    Control(
        "P12",
        "nobody is told to become a superuser",
        (Patch("ledger/sql/missing_in_tenant.sql", "           WHEN rolsuper THEN ''\n", ""),),
        (f"{DENIED}nobody_is_told_to_become_a_superuser",),
        "AssertionError",
    ),
    Control(
        "P7",
        "what writes nothing is asked again when its worker was killed",
        (Patch("engines/workers.py", "for left in reversed(range(tries)):", "for left in (0,):"),),
        (f"{DYING}a_reader_whose_process_is_killed_once_reads_again",),
        "died",
    ),
    Control(
        "P7",
        "a move in a scratch schema is made again when its worker was killed",
        (Patch("drift/scratch.py", "reversed(range(MOVE_TRIES))", "(0,)"),),
        (f"{DYING}a_kill_while_the_history_runs_in_a_scratch_schema[drift-child]",),
        "worker process died",
    ),
    Control(
        "P7",
        "a move that is made again ends as it did",
        (Patch("drift/scratch.py", "!= is_whole:", "!= is_whole and False:"),),
        (f"{DYING}a_move_that_is_made_again_and_fails_is_no_answer",),
        "could not be rebuilt",
    ),
    Control(
        "P7",
        "and in a schema that is made anew",
        (Patch("drift/scratch.py", "        _drop(self.connection, self.schema)\n", ""),),
        (f"{DYING}a_kill_while_the_history_runs_in_a_scratch_schema[check-child]",),
        "exit 2",
    ),
    Control(
        "P2",
        "a script's SQL runs behind the owner's wall (SET ROLE alone)",
        (
            Patch(
                "postgres/owner_wall.py",
                "        row = _own(connection, call).fetchone()\n",
                """
        _own(connection, sql.SQL("SET ROLE {}").format(sql.Identifier(self.owner)))
        row = (_own(connection, sql.SQL(statement)).rowcount,)
        _own(connection, sql.SQL("RESET ROLE"))
""",
            ),
        ),
        (f"{NO_MORE}[alembic-newest]",),
        "AssertionError",
    ),
    Control(
        "P2",
        "a replay runs behind the owner's wall",
        (
            Patch(
                "engines/transactions.py",
                "        if self.options.run_as != SCHEMA_OWNER:",
                "        if True:",
            ),
        ),
        (f"{RUN_AS}a_replay_runs_behind_the_same_wall[PERFORM {{tenant}}.evil();]",),
        "must be owner of function helper",
    ),
    Control(
        "P2",
        "no cursor of the tenant's code runs at the COMMIT",
        (
            Patch(
                "postgres/sql/lower_wall.sql",
                "CLOSE ALL;\nSELECT {wall}.run('SET CONSTRAINTS ALL IMMEDIATE');\nCLOSE ALL;",
                "SELECT {wall}.run('SET CONSTRAINTS ALL IMMEDIATE');",
            ),
        ),
        (f"{NO_MORE}[alembic-newest]",),
        "AssertionError",
    ),
    Control(
        "P2",
        "nothing of the tenant's is left to run after its revision",
        (Patch("postgres/sql/refuse_leftovers.sql", "IF found IS NOT NULL THEN", "IF false THEN"),),
        (
            f"{NO_MORE}[alembic-newest]",
            f"{RUN_AS}a_version_table_that_the_tenant_owns_is_looked_at_before_it_is_written",
        ),
        "AssertionError",
    ),
    Control(
        "P2",
        "what runs outside the wall calls nothing before it takes the owner's rights",
        (
            Patch(
                "postgres/owner_wall.py",
                "        self._refuse_early(connection, statement)\n", "",
            ),
        ),
        (f"{EARLY}[array-16]", f"{EARLY}[row-16]", f"{EARLY}[key-16]"),
        "AssertionError",
    ),
    Control(
        "P2",
        "what tenantmig sends between a script's statements names PostgreSQL's own functions",
        (
            Patch(
                "postgres/literals.py",
                "pg_catalog.format_type(%s::pg_catalog.oid", "format_type(%s::oid",
            ),
        ),
        (f"{EARLY}[binding-16]",),
        "is_called",
    ),
    Control(
        "P2",
        "no search path of the tenant's code outlasts the wall",
        (Patch("postgres/sql/refuse_leftovers.sql", "WHERE first <> 'pg_catalog'", "WHERE false"),),
        (f"{EARLY}[committing-16]", f"{EARLY}[temporary-16]"),
        "AssertionError",
    ),
    Control(
        "P2",
        "no trigger of another tenant's waits for the COMMIT",
        (Patch("postgres/sql/refuse_leftovers.sql", "AND relation >= 16384", "AND false"),),
        (f"{EARLY}[colluding-16]",),
        "AssertionError",
    ),
    Control(
        "P2",
        "plain alembic builds the owner's wall",
        (Patch("env.py", "            _confine_steps(session)\n", "            pass\n"),),
        (f"{RUN_AS}plain_alembic_holds_the_same_wall",),
        "AssertionError",
    ),
    Control(
        "P2",
        "owners are checked before anything is touched",
        (
            Patch(
                "fleet/driver.py",
                "        check_ownership(ledger.connection, plan, self.session_options)\n",
                "",
            ),
        ),
        (f"{RUN_AS}an_owner_that_the_migrator_cannot_act_as_is_told_before_anything",),
        "DID NOT RAISE",
    ),
    Control(
        "P2",
        "no cursor of a backup's code runs at the COMMIT of a restore",
        (
            Patch(
                "backups/restore_script.py",
                '        self.session.run("CLOSE ALL")  #',
                "        #",
            ),
        ),
        (f"{FORGED}a_cursor_that_waits_for_the_commit_is_closed",),
        "AssertionError",
    ),
    Control(
        "P1",
        "what a tenant changed in how literals are read ends its session",
        (Patch("engines/replay.py", " or line.reads_otherwise", ""),),
        (f"{STATE}no_tenant_says_how_the_texts_of_others_are_read[newest-in the end]",),
        "AssertionError",
    ),
    Control(
        "P1",
        "a transaction that changed how literals are read is not committed",
        (
            Patch(
                "engines/sql/replay_reached.sql",
                "AND pg_catalog.current_setting('standard_conforming_strings')",
                "AND {strings} IS NOT NULL AND {strings}",
            ),
        ),
        (f"{STATE}no_tenant_says_how_the_texts_of_others_are_read[newest-at once]",),
        "AssertionError",
    ),
    Control(
        "P1",
        "a script that changes how literals are read is not replayed",
        (Patch("engines/witness.py", "if self._how_read() != self._read_as:", "if False:"),),
        (f"{STATE}a_script_that_changes_how_literals_are_read_is_not_replayed[newest]",),
        "KeyError",
    ),
    Control(
        "P11",
        "a blueprint is proved by a third schema before it is used",
        (
            Patch(
                "drift/blueprint.py",
                "            self._prove(made, first, one.connection)\n",
                "",
            ),
        ),
        tuple(f"{LOST}[{fault}]" for fault in ("an index", "a character", "a column's number")),
        "KeyError",
    ),
    Control(
        "P11",
        "a birth that reads what is not the tenant's is no blueprint",
        (Patch("engines/birth_witness.py", "elif is_read:", "elif False:"),),
        (f"{CHAIN}[rows of others]", f"{CHAIN}[rows of others that a function reads]"),
        "KeyError",
    ),
    Control(
        "P11",
        "a value that the clock may have made is no constant of a blueprint",
        (
            Patch(
                "drift/blueprint_rows.py",
                "        if is_clock and self._is_near(",
                "        if False and self._is_near(",
            ),
        ),
        (f"{CHAIN}[today by default]",),
        "KeyError",
    ),
    Control(
        "P11",
        "a text of the ledger is used only if it fits its hash",
        (
            Patch(
                "ledger/blueprints.py",
                "if row is not None and hmac.compare_digest("
                "str(row[1]), prove(mark, str(row[0]), key)):",
                "if row is not None:",
            ),
        ),
        (f"{ANEW}[tamper]",),
        "AssertionError",
    ),
    Control(
        "P11",
        "a blueprint is thrown away when a file that it was made with has changed",
        (
            Patch(
                "drift/blueprint_keeping.py",
                'if _hashes(map(File, kept["files"])) != kept["files"]:',
                "if False:",
            ),
        ),
        (f"{ANEW}[change_helper]",),
        "AssertionError",
    ),
    Control(
        "P1",
        "a schema of the pool that is not at the target is not given out",
        (
            Patch(
                "ledger/sql/pool_tables.sql",
                "        EXIT WHEN versions = string_to_array(wanted, ',');\n",
                "        EXIT;\n",
            ),
        ),
        (f"{POOL}one_that_is_behind_is_not_given_out",),
        "ReadBackError",
    ),
    Control(
        "P1",
        "a schema of the pool that somebody changed is not given out",
        (
            Patch(
                "ledger/sql/pool_tables.sql",
                "CONTINUE WHEN {ledger}.pool_stamp(member.schema) IS DISTINCT FROM member.stamp;",
                "",
            ),
        ),
        (f"{POOL}one_that_somebody_changed_is_not_given_out",),
        "AssertionError",
    ),
    Control(
        "P1",
        "a schema of the pool that other scripts made is not given out",
        (
            Patch(
                "fleet/pool_claim.py",
                " if row.history == history_mark(driver, row.files)}",
                "}",
            ),
        ),
        (f"{POOL}a_changed_script_makes_them_stale",),
        "AssertionError",
    ),
    Control(
        "P6",
        "a claim of the pool is one transaction",
        (
            Patch("ledger/sql/pool_tables.sql", "    IF is_kept THEN\n", "    IF false THEN\n"),
            Patch(
                "ledger/pool_members.py",
                "    return None if row is None else row[0]\n",
                CLAIM_APART,
            ),
        ),
        (f"{CLAIMS}[LOSE_ANSWER]", f"{CLAIMS}[CUT]"),
        "AssertionError",
    ),
)  # fmt: skip
