-- What a session has locked for more than reading, as this session sees it: where it is, and whether
-- foreign keys of the schema point at it. An index has its table's name. The schema's name is one of chance, so whatever bears it in
-- its identity belongs to it.
WITH held AS MATERIALIZED (
    SELECT CASE locktype WHEN 'relation' THEN 'pg_class'::regclass::oid ELSE classid END AS class,
           coalesce(relation, objid) AS object, database = 0 AS is_shared, array_agg(mode) AS modes
      FROM pg_locks
     WHERE pid = %(pid)s AND granted AND locktype IN ('relation', 'object')
       AND mode NOT IN ('AccessShareLock', 'RowShareLock')
     GROUP BY 1, 2, 3
)
SELECT class, object, modes,
       format('%%I.%%I', nspname, coalesce(
           (SELECT t.relname FROM pg_index JOIN pg_class AS t ON t.oid = indrelid
             WHERE indexrelid = c.oid), relname)),
       (nspname IN (%(schema)s, 'pg_catalog', 'pg_toast') OR nspname ~ '^pg_(toast_)?temp_')
           AND NOT (relkind = 'f' AND 'RowExclusiveLock' = ANY (modes)),
       EXISTS (SELECT FROM pg_trigger JOIN pg_class AS r ON r.oid = tgconstrrelid
                WHERE tgrelid = c.oid AND r.relnamespace = %(namespace)s)
  FROM held
  JOIN pg_class AS c ON c.oid = object
  JOIN pg_namespace AS n ON n.oid = relnamespace
 WHERE class = 'pg_class'::regclass
UNION ALL
SELECT class, object, modes, i.type || ' ' || i.identity,
       NOT is_shared AND (
           coalesce(i.schema = %(schema)s, strpos(i.identity, %(schema)s) > 0)
           OR coalesce(i.schema, i.identity) ~ '\mpg_(toast_)?temp'
           OR EXISTS (SELECT FROM pg_trigger AS t JOIN pg_class AS r ON r.oid = tgconstrrelid
                       WHERE class = 'pg_trigger'::regclass AND t.oid = object
                         AND r.relnamespace = %(namespace)s)),
       false
  FROM held, pg_identify_object(class, object, 0) AS i
 WHERE class <> 'pg_class'::regclass AND i.identity IS NOT NULL
