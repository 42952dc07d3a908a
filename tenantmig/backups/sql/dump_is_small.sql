-- Whether a schema holds so little that reading the whole catalog would be most of a dump's work:
-- the pages of its tables, as last counted by VACUUM or ANALYZE, against those of pg_depend.
SELECT coalesce(pg_catalog.sum(relation.relpages + coalesce(toast.relpages, 0)), 0)
       <= %(factor)s * pg_catalog.pg_relation_size('pg_catalog.pg_depend')
          / pg_catalog.current_setting('block_size')::pg_catalog.int8
  FROM pg_catalog.pg_namespace AS place
  JOIN pg_catalog.pg_depend AS depend
    ON refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = place.oid
   AND classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class AS relation ON relation.oid = objid AND relation.relkind = 'r'
  LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = relation.reltoastrelid
 WHERE nspname = %(schema)s::pg_catalog.text
