SELECT DISTINCT namespace.nspname
  FROM pg_class AS class JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
 WHERE namespace.nspname = ANY(%(schemas)s) AND class.relkind IN ('r', 'p')
   AND class.relname <> %(version_table)s
