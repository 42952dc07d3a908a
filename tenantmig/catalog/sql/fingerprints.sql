-- A number for the catalog of each tenant schema: equal for equal objects, whatever their oids, order
-- and history. Found by indexes alone (pg_depend knows what is in a schema), so that a fleet's size
-- does not matter. Definitions of views, defaults and checks are not rendered (a pg_get_*def for each
-- costs more than a migration): that they exist is a part of it.
WITH object AS MATERIALIZED (
    SELECT refobjid AS namespace, classid, objid
      FROM pg_namespace JOIN pg_depend ON refobjid = pg_namespace.oid
     WHERE nspname = ANY(%(schemas)s) AND refclassid = 'pg_namespace'::regclass AND deptype = 'n'
), relation AS MATERIALIZED (
    SELECT namespace, class.oid, relname, relkind, relpersistence, relrowsecurity,
           relforcerowsecurity, relhasindex, relhastriggers,
           CASE WHEN reloptions IS NOT NULL THEN -- without the server's own
                (SELECT array_agg(option ORDER BY option COLLATE "C") FROM unnest(reloptions) AS option
                  WHERE split_part(option, '=', 1) = ANY(%(of_relations)s::text[])
                     OR relam >= 16384 AND split_part(option, '=', 1) <> ALL(%(internal)s::text[]))
           END AS reloptions
      FROM object JOIN pg_class AS class ON class.oid = objid
     WHERE classid = 'pg_class'::regclass
), line (namespace, mark) AS (
    SELECT namespace, hash_record_extended(ROW (relname, relkind, relpersistence, relrowsecurity,
                                                relforcerowsecurity, reloptions), 0)
      FROM relation
    UNION ALL
    SELECT namespace, -- the types of a tenant have oids of its own
           hash_record_extended(ROW (relname, attname, CASE WHEN atttypid < 16384 THEN atttypid END,
                                     atttypmod, attnotnull, attidentity, attgenerated, atthasdef), 1)
      FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
     WHERE relkind IN ('r', 'p', 'v', 'm', 'c', 'f')
    UNION ALL
    SELECT namespace,
           hash_record_extended(ROW (relation.relname, index.relname, indisunique, indisprimary,
                                     indisvalid, indisready, indnatts, indpred IS NULL,
                                     indexprs IS NULL), 2)
      FROM relation
      JOIN pg_index ON indrelid = relation.oid
      JOIN pg_class AS index ON index.oid = indexrelid
     WHERE relation.relhasindex
    UNION ALL
    SELECT namespace,
           hash_record_extended(ROW (relname, conname, contype, convalidated, condeferrable,
                                     condeferred, confupdtype, confdeltype, cardinality(conkey)), 3)
      FROM relation JOIN pg_constraint ON conrelid = relation.oid AND contype <> 'n'
     WHERE relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT namespace, hash_record_extended(ROW (relname, tgname, tgtype, tgenabled), 4)
      FROM relation JOIN pg_trigger ON tgrelid = relation.oid AND NOT tgisinternal
     WHERE relhastriggers
    UNION ALL
    SELECT namespace, hash_record_extended(ROW (relname, polname, polcmd), 5)
      FROM relation JOIN pg_policy ON polrelid = relation.oid
     WHERE relrowsecurity
    UNION ALL
    SELECT namespace, hash_record_extended(ROW (typname, typtype, enumlabel), 6)
      FROM object
      JOIN pg_type AS type ON type.oid = objid
      LEFT JOIN pg_enum ON enumtypid = type.oid
     WHERE classid = 'pg_type'::regclass
    UNION ALL
    SELECT namespace,
           -- a body may hold the schema's name: without literals, and words before a dot or in a path
           hash_record_extended(ROW (proname, pronargs, prokind, provolatile, prosecdef,
                                     cardinality(proconfig),
                                     regexp_replace(prosrc, %(naming)s, '', 'gi')), 7)
      FROM object JOIN pg_proc ON pg_proc.oid = objid
     WHERE classid = 'pg_proc'::regclass
), total AS (
    SELECT namespace, bit_xor(mark) AS mark, count(mark) AS count FROM line GROUP BY namespace
)
SELECT nspname, mark, coalesce(count, 0)
  FROM pg_namespace LEFT JOIN total ON namespace = pg_namespace.oid
 WHERE nspname = ANY(%(schemas)s)
