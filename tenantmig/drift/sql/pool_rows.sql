-- The tables of a schema that hold rows: all their columns, and those whose value no default makes by
-- clock or by chance.
SELECT c.relname::text,
       array_agg(a.attname::text ORDER BY a.attnum),
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (
           WHERE coalesce(pg_get_expr(d.adbin, d.adrelid), '') !~* %(chance)s OR a.attgenerated <> '')
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE n.nspname = %(schema)s AND (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
 GROUP BY c.relname
 ORDER BY c.relname
