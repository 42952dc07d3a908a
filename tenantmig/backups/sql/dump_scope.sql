-- What pg_dump needs of the catalog to dump one schema, read in its own snapshot and by indexes alone:
-- the cost does not depend on how many schemas there are. `member`: the schema and all that depends
-- on it, directly or not. `shown`: the schemas that a member lies in or refers to, and PostgreSQL's.
-- `part`: what lies in those and was not made by initdb. `listed`: what the dump must list.
WITH RECURSIVE member (classid, objid) AS (
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, oid
      FROM pg_catalog.pg_namespace WHERE nspname = $1::pg_catalog.text
    UNION
    SELECT depend.classid, depend.objid
      FROM member
      JOIN pg_catalog.pg_depend AS depend
        ON depend.refclassid = member.classid AND depend.refobjid = member.objid
), touched (classid, objid) AS (
    SELECT classid, objid FROM member
    UNION
    SELECT depend.refclassid, depend.refobjid
      FROM member JOIN pg_catalog.pg_depend AS depend USING (classid, objid)
), shown AS MATERIALIZED (
    SELECT oid
      FROM pg_catalog.pg_namespace
     WHERE nspname IN ($1::pg_catalog.text, 'pg_catalog', 'pg_toast', 'information_schema')
        OR pg_catalog.quote_ident(nspname) IN (
           SELECT (pg_catalog.pg_identify_object(classid, objid, 0)).schema FROM touched)
), part (classid, objid) AS (
    SELECT depend.classid, depend.objid
      FROM shown
      JOIN pg_catalog.pg_depend AS depend
        ON refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = shown.oid
    UNION
    SELECT classid, objid FROM touched -- of what lies in pg_catalog, none depends on its schema
    UNION
    SELECT depend.classid, depend.objid
      FROM part
      JOIN pg_catalog.pg_depend AS depend
        ON depend.refclassid = part.classid AND depend.refobjid = part.objid
       AND depend.deptype NOT IN ('n', 'e') -- an index of a table, not what merely uses it
), listed (classid, objid) AS (
    SELECT depend.classid, depend.objid
      FROM pg_catalog.pg_namespace AS place
      JOIN pg_catalog.pg_depend AS depend
        ON refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = place.oid
       AND deptype = 'n'
      LEFT JOIN pg_catalog.pg_operator AS operator
        ON classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND operator.oid = objid
      LEFT JOIN pg_catalog.pg_statistic_ext AS statistic
        ON classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND statistic.oid = objid
      LEFT JOIN pg_catalog.pg_class AS counted ON counted.oid = stxrelid
     WHERE nspname = $1::pg_catalog.text
       AND classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass -- pg_dump leaves it out
       AND oprcode IS DISTINCT FROM 0 -- an operator that was only named, as a commutator
       AND (counted.oid IS NULL OR counted.relnamespace = place.oid)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS cause
                        WHERE cause.classid = depend.classid AND cause.objid = depend.objid
                          AND (cause.deptype = 'e' -- an extension's, or made along with a type
                               OR cause.deptype = 'i'
                                  AND cause.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass))
    UNION
    SELECT member.classid, rule.oid
      FROM member
      JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = objid
      JOIN pg_catalog.pg_class AS relation ON relation.oid = ev_class
      JOIN pg_catalog.pg_namespace AS place ON place.oid = relnamespace
     WHERE classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
       AND rulename <> '_RETURN' AND nspname = $1::pg_catalog.text
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS cause
                        WHERE cause.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND cause.objid = relation.oid AND cause.deptype = 'e')
)
SELECT (SELECT pg_catalog.array_agg(oid) FROM shown),
       (SELECT pg_catalog.array_agg(DISTINCT objid) FROM part),
       (SELECT pg_catalog.array_agg(DISTINCT classid) FROM member),
       (SELECT pg_catalog.array_agg(DISTINCT objid) FROM member),
       (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', classid::pg_catalog.oid, objid), ',')
          FROM listed)
