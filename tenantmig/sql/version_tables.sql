SELECT namespace.nspname AS schema,
       version_table.oid IS NOT NULL AS has_version_table,
       version_num.attnum IS NOT NULL AS has_version_column
  FROM pg_namespace AS namespace
  LEFT JOIN pg_class AS version_table
         ON version_table.relnamespace = namespace.oid
        AND version_table.relname = %(version_table)s
        AND version_table.relkind IN ('r', 'p')
  LEFT JOIN pg_attribute AS version_num
         ON version_num.attrelid = version_table.oid AND version_num.attname = 'version_num'
 WHERE namespace.nspname = ANY(%(schemas)s)
