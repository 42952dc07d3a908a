-- What this transaction has read outside a schema, and whether a foreign key was made that points at it.
-- Of the system's own, what says nothing of schemas: roles, statistics, settings, databases.
SELECT pg_catalog.format('%%I.%%I', nspname, relname), relname::pg_catalog.text,
       pg_catalog.bool_or(mode OPERATOR(pg_catalog.=) 'ShareRowExclusiveLock'),
       pg_catalog.bool_or(mode OPERATOR(pg_catalog.=) 'AccessShareLock')
  FROM pg_catalog.pg_locks
  JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) relation
  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) relnamespace
 WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
   AND relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog."char"[])
   AND mode OPERATOR(pg_catalog.=) ANY (ARRAY['AccessShareLock', 'ShareRowExclusiveLock'])
   AND nspname OPERATOR(pg_catalog.<>) %(schema)s::pg_catalog.text
   AND NOT nspname OPERATOR(pg_catalog.~) '^pg_(toast|temp|toast_temp_.*|temp_.*)$'
   AND (NOT nspname OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog', 'information_schema'])
        OR relname OPERATOR(pg_catalog.~) '^pg_(authid|auth_members|roles|user|shadow|group|stat(?!istic_ext)|settings|database|file_|hba|ident|prepared_xacts|timezone|available|largeobject|replication|subscription|config|shmem)')
 GROUP BY 1, 2
