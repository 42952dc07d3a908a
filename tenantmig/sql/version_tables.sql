SELECT namespace.nspname AS schema,
       version_table.oid IS NOT NULL AS has_version_table,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = version_table.oid AND attname = 'version_num') AS has_version_column,
       EXISTS (SELECT FROM pg_class AS other
                WHERE other.relnamespace = namespace.oid AND other.relkind IN ('r', 'p')
                  AND other.relname <> %(version_table)s) AS has_other_tables
  FROM pg_namespace AS namespace
  LEFT JOIN pg_class AS version_table
         ON version_table.relnamespace = namespace.oid
        AND version_table.relname = %(version_table)s
        AND version_table.relkind IN ('r', 'p')
 WHERE namespace.nspname = ANY(%(schemas)s)
