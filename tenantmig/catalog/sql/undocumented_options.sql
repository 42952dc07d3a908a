-- The options in these schemas that PostgreSQL does not document, and that no catalog is compared by.
WITH relation AS MATERIALIZED (
    SELECT class.oid, relam, reloptions
      FROM pg_namespace JOIN pg_class AS class ON relnamespace = pg_namespace.oid
     WHERE nspname = ANY(%(schemas)s)
), option (name) AS (
    SELECT split_part(unnest(attoptions), '=', 1)
      FROM pg_attribute JOIN relation ON attrelid = relation.oid
     WHERE attoptions IS NOT NULL AND relam NOT IN (SELECT oid FROM pg_am WHERE amtype = 'i')
       AND attnum > 0 AND NOT attisdropped
    EXCEPT SELECT unnest(%(of_columns)s::text[])
    UNION
    SELECT split_part(unnest(reloptions), '=', 1)
      FROM relation WHERE reloptions IS NOT NULL AND relam < 16384
    EXCEPT SELECT unnest(%(of_relations)s::text[])
)
SELECT name FROM option WHERE name <> ALL(%(internal)s::text[]) ORDER BY name
