SELECT id, kind, target, reason, started_at, direction, undoes, is_fleetwide, options, server,
       CASE WHEN state = 'running' AND NOT EXISTS (
                SELECT FROM pg_locks
                 WHERE locktype = 'advisory' AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND (classid::bigint << 32 | objid::bigint)
                       = hashtextextended('tenantmig.run:' || id, %(salt)s))
            THEN 'interrupted' ELSE state END AS state,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float AS duration_s
  FROM {ledger}.run
 WHERE %(run)s::bigint IS NULL OR id = %(run)s
 ORDER BY id DESC
 LIMIT %(limit)s
