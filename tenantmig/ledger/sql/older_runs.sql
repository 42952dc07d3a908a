-- Runs of drivers that know a ledger before version 4, and live. Reads a ledger of any version.
SELECT id, kind
  FROM {ledger}.run
 WHERE state = 'running'
   AND EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('tenantmig.run:' || id, 0))
 ORDER BY id
