-- What each schema holds in the place of the version table, and what is unusual: what the tenant's own
-- role could have put there so that a statement of the migrator runs its code. Trusted is what belongs
-- to the migrator, a superuser or the owner of the database. Is sent with pg_catalog alone on the path.
WITH trusted AS MATERIALIZED (
    SELECT oid FROM pg_roles
     WHERE rolsuper OR rolname IN (current_user, session_user)
        OR oid = (SELECT datdba FROM pg_database WHERE datname = current_database())
), operators AS MATERIALIZED (
    SELECT oprnamespace AS namespace, 'the operator ' || o.oid::regoperator AS thing
      FROM pg_operator AS o
      LEFT JOIN pg_proc AS called ON called.oid = oprcode
     WHERE o.oid >= 16384
       AND NOT (oprowner IN (SELECT oid FROM trusted)
                AND coalesce(proowner, oprowner) IN (SELECT oid FROM trusted))
       AND oprname IN (SELECT oprname FROM pg_operator WHERE oid < 16384)
       AND NOT EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = refobjid
                        WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid
                          AND d.deptype = 'e' AND extowner IN (SELECT oid FROM trusted))
), casts AS MATERIALIZED (
    SELECT ARRAY[pronamespace, source.typnamespace, target.typnamespace] AS namespaces,
           format('the cast from %%s to %%s', castsource::regtype, casttarget::regtype) AS thing
      FROM pg_cast AS c
      JOIN pg_proc AS called ON called.oid = castfunc
      JOIN pg_type AS source ON source.oid = castsource
      JOIN pg_type AS target ON target.oid = casttarget
     WHERE c.oid >= 16384 AND proowner NOT IN (SELECT oid FROM trusted)
       AND 'S' IN (source.typcategory, target.typcategory)
), functions AS MATERIALIZED (
    SELECT n.oid AS namespace, 'the function ' || f.oid::regprocedure AS thing
      FROM pg_namespace AS n
      JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
                         AND d.classid = 'pg_proc'::regclass AND d.deptype = 'n'
      JOIN pg_proc AS f ON f.oid = d.objid
     WHERE n.nspname = ANY(%(schemas)s::text[]) AND proowner NOT IN (SELECT oid FROM trusted)
       AND proname IN (SELECT proname FROM pg_proc
                        WHERE oid < 16384 AND pronamespace = 'pg_catalog'::regnamespace)
       AND NOT EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = refobjid
                        WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid
                          AND d.deptype = 'e' AND extowner IN (SELECT oid FROM trusted))
)
SELECT namespace.nspname AS schema,
       coalesce(vt.relkind IN ('r', 'p'), false) AS has_version_table,
       version_num.attnum IS NOT NULL AS has_version_column,
       ARRAY(
           SELECT thing FROM operators WHERE operators.namespace = namespace.oid
           UNION ALL
           SELECT thing FROM casts WHERE namespace.oid = ANY (namespaces)
           UNION ALL
           SELECT thing FROM functions WHERE functions.namespace = namespace.oid
       ) AS shadows,
       CASE WHEN vt.relowner NOT IN (SELECT oid FROM trusted) THEN array_remove(ARRAY[
           CASE vt.relkind WHEN 'r' THEN NULL WHEN 'v' THEN 'it is a view'
                WHEN 'm' THEN 'it is a materialized view' WHEN 'f' THEN 'it is a foreign table'
                WHEN 'p' THEN 'it is a partitioned table' ELSE 'it is no table' END,
           CASE WHEN vt.reloftype <> 0 THEN 'it is a typed table' END,
           CASE WHEN vt.relkind = 'r' AND vt.relhasrules
                 AND EXISTS (SELECT FROM pg_rewrite WHERE ev_class = vt.oid)
                THEN 'it has a rule' END,
           CASE WHEN vt.relhastriggers
                 AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = vt.oid)
                THEN 'it has a trigger or a foreign key' END,
           CASE WHEN vt.relforcerowsecurity THEN 'it has forced row-level security' END,
           CASE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = vt.oid)
                THEN 'it has a row-level security policy' END,
           CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhparent = vt.oid)
                  OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = vt.oid)
                THEN 'it inherits or is inherited from' END,
           CASE WHEN vt.relnatts > 1 AND vt.relkind = 'r' AND EXISTS (
                    SELECT FROM pg_attribute WHERE attrelid = vt.oid AND attnum > 0
                       AND NOT attisdropped AND attname <> 'version_num')
                THEN 'it has columns other than version_num' END,
           CASE WHEN version_num.atttypid NOT IN ('varchar'::regtype, 'text'::regtype)
                THEN 'version_num is of type ' || version_num.atttypid::regtype END,
           CASE WHEN version_num.attgenerated <> '' THEN 'version_num is generated'
                WHEN version_num.atthasdef THEN 'version_num has a default' END,
           CASE WHEN vt.relchecks > 0 AND EXISTS (
                    SELECT FROM pg_constraint AS c WHERE conrelid = vt.oid AND contype = 'c'
                       AND (conbin::text ~ '\{{(FUNCEXPR|COERCETODOMAIN)' OR EXISTS (
                                SELECT FROM pg_depend WHERE classid = 'pg_constraint'::regclass
                                   AND objid = c.oid AND refobjid <> vt.oid)))
                THEN 'it has a constraint that calls a function' END,
           CASE WHEN EXISTS (
                    SELECT FROM pg_index WHERE indrelid = vt.oid
                       AND (indexprs IS NOT NULL OR indpred IS NOT NULL OR indisexclusion
                            OR 16384 <= ANY (indclass::oid[])))
                THEN 'it has an index with an expression, a condition or an operator class' END
       ], NULL)
       WHEN vt.relhastriggers AND EXISTS (
                SELECT FROM pg_trigger JOIN pg_proc AS f ON f.oid = tgfoid
                 WHERE tgrelid = vt.oid AND proowner NOT IN (SELECT oid FROM trusted))
       THEN ARRAY['it has a trigger whose function belongs to another role']
       ELSE '{{}}' END AS oddities
  FROM pg_namespace AS namespace
  LEFT JOIN pg_class AS vt
         ON vt.relnamespace = namespace.oid AND vt.relname = %(version_table)s::text
  LEFT JOIN pg_attribute AS version_num
         ON version_num.attrelid = vt.oid AND version_num.attname = 'version_num'
        AND NOT version_num.attisdropped AND vt.relkind IN ('r', 'p')
 WHERE namespace.nspname = ANY(%(schemas)s::text[])
