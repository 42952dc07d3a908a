-- Tables of other schemas that this transaction keeps writers from (a foreign key to one does).
SELECT pg_catalog.format('%%I.%%I', nspname, relname)
  FROM pg_catalog.pg_locks
  JOIN pg_catalog.pg_class AS c ON c.oid = relation
  JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
 WHERE pid = pg_catalog.pg_backend_pid() AND relkind IN ('r', 'p')
   AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
   AND relpersistence <> 't' -- temporary tables are this session's alone
   AND nspname NOT IN (%(schema)s::text, 'pg_catalog', 'pg_toast')
 LIMIT 1
