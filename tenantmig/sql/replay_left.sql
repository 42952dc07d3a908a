-- What the last COMMIT left, read under the lock, which the snapshot of this statement still sees held:
-- the version table, the journal, the schema; and whether the session is marked (`marked_session`).
SELECT (SELECT string_agg(version_num, ',') FROM {table}),
       to_revision, outcome, current_schema(), pg_advisory_unlock_all(),
       EXISTS (SELECT FROM unnest({named}::text[]) AS name WHERE current_setting(name, true) IS NOT NULL)
  FROM {ledger}.run_tenant
 WHERE run = {run} AND tenant = {name}
