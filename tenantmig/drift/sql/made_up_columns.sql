-- The columns of a schema's tables that somebody must fill, with the table that each refers to.
SELECT c.relname::text AS table_name, a.attname::text AS column_name, a.attnotnull AS is_required,
       coalesce(base.typname, t.typname)::text AS type,
       CASE WHEN a.atttypmod < 0 THEN t.typtypmod ELSE a.atttypmod END AS modifier,
       coalesce(
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum AS e
             WHERE e.enumtypid = coalesce(base.oid, t.oid)),
           -- the texts that a check constraint of this column alone has: "status IN ('new', 'old')"
           (SELECT array_agg(replace(literal[1], '''''', ''''))
              FROM pg_constraint AS k,
                   regexp_matches(pg_get_constraintdef(k.oid), '''((?:[^'']|'''')*)''::', 'g') AS literal
             WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum])) AS labels,
       parent.schema_name, parent.table_name AS parent, parent.column_name AS parent_column
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_type AS base ON base.oid = t.typbasetype AND t.typtype = 'd'
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (
       SELECT fn.nspname::text AS schema_name, f.relname::text AS table_name,
              fa.attname::text AS column_name
         FROM pg_constraint AS k
         JOIN pg_class AS f ON f.oid = k.confrelid
         JOIN pg_namespace AS fn ON fn.oid = f.relnamespace
         JOIN pg_attribute AS fa
           ON fa.attrelid = f.oid AND fa.attnum = k.confkey[array_position(k.conkey, a.attnum)]
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
        ORDER BY k.oid LIMIT 1) AS parent ON true
 WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> %(version_table)s
   AND a.attgenerated = '' AND a.attidentity = ''
   AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') NOT LIKE 'nextval(%%'
 ORDER BY c.relname, a.attnum
