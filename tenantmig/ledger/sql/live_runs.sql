SELECT id, kind, target, actor, host, driver_pid, started_at::text AS started_at
  FROM {ledger}.run
 WHERE state = 'running'
   AND EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('tenantmig.run:' || id, %(salt)s))
 ORDER BY id
