-- What the last COMMIT left, a row for each version; read under the lock, which the snapshot of this
-- statement still sees held. And whether the session is marked (see `marked_session`).
SELECT version_num, to_revision, outcome, pg_catalog.current_schema(),
       pg_catalog.pg_advisory_unlock_all(){marked}
  FROM {ledger}.run_tenant LEFT JOIN {table} ON true
 WHERE run OPERATOR(pg_catalog.=) {run} AND tenant OPERATOR(pg_catalog.=) {name}
