-- Schemas that a session has locked as drivers and env.py did before a ledger of version 4 was there.
SELECT nspname, array_agg(DISTINCT pid)
  FROM pg_catalog.pg_namespace
  JOIN pg_catalog.pg_locks ON (classid::bigint << 32 | objid::bigint)
                            = hashtextextended('tenantmig.tenant:' || nspname, 0)
 WHERE locktype = 'advisory' AND granted
   AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY nspname
 ORDER BY nspname
 LIMIT 1
