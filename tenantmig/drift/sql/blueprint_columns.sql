-- Every column of a schema that was ever there: a dropped one keeps its number. With the type and the
-- default of those that are there.
SELECT relname::text AS relation, attnum::int AS number, attname::text AS name,
       attisdropped AS is_dropped, relkind::text AS kind,
       CASE WHEN NOT attisdropped THEN format_type(atttypid, NULL) END AS type,
       CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END AS standard
  FROM pg_class
  JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
   AND relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
 ORDER BY relname, attnum
