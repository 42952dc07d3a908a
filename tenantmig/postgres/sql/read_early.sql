-- Code of no superuser's that the server would run while it reads a statement, or opens its table: it does so
-- before it takes the rights of the table's owner. A literal of a domain in an array, a row or a range
-- calls the domain's checks; a partition key calls its functions of constants when it is loaded.
WITH code AS MATERIALIZED (
    SELECT f.oid FROM pg_proc AS f JOIN pg_roles AS r ON r.oid = proowner
     WHERE f.oid >= 16384 AND NOT rolsuper
), uses AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend
     WHERE refclassid = 'pg_proc'::regclass AND refobjid IN (TABLE code)
    UNION
    SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_operator AS o ON o.oid = refobjid
     WHERE refclassid = 'pg_operator'::regclass AND oprcode IN (TABLE code)
), reach AS (
    SELECT oid FROM pg_roles WHERE rolname = %(owner)s
), theirs (thing) AS (
    SELECT format('the check %%s of the domain %%s', quote_ident(conname), contypid::regtype)
      FROM pg_constraint AS c JOIN pg_type AS t ON t.oid = contypid
     WHERE NOT %(detaches)s
       AND ('pg_constraint'::regclass::oid, c.oid) IN (SELECT classid, objid FROM uses)
       AND has_type_privilege((TABLE reach), t.oid, 'USAGE')
       AND has_schema_privilege((TABLE reach), typnamespace, 'USAGE')
    UNION ALL
    SELECT format('the partition key of %%s', partrelid::regclass)
      FROM pg_partitioned_table JOIN pg_class AS p ON p.oid = partrelid
     WHERE %(detaches)s AND ('pg_class'::regclass::oid, partrelid) IN (SELECT classid, objid FROM uses)
       AND has_schema_privilege((TABLE reach), relnamespace, 'USAGE')
)
SELECT thing FROM theirs ORDER BY thing LIMIT 1
