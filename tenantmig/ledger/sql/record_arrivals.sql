-- What the DDL's own transactions wrote stands; here is added what only the driver knows.
UPDATE {ledger}.run_tenant AS noted
   SET outcome = CASE WHEN noted.outcome = ANY(%(done)s) THEN noted.outcome ELSE told.outcome END,
       to_revision = CASE WHEN told.outcome = 'already_current' THEN told.to_revision
                          ELSE noted.to_revision END,
       engine = told.engine, attempts = greatest(noted.attempts, told.attempts), wave = told.wave,
       duration_s = told.duration_s, sqlstate = NULL, error = NULL, lost_xid = NULL,
       backup = coalesce(told.backup, noted.backup), updated_at = clock_timestamp()
  FROM unnest(%(tenants)s::text[], %(outcomes)s::text[], %(to_revisions)s::text[],
              %(engines)s::text[], %(attempts)s::integer[], %(waves)s::integer[],
              %(durations)s::float[], %(backups)s::text[])
       AS told (tenant, outcome, to_revision, engine, attempts, wave, duration_s, backup)
 WHERE run = %(run)s AND noted.tenant = told.tenant
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
RETURNING noted.tenant, noted.outcome, noted.to_revision
