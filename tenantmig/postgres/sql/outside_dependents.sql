-- What lives elsewhere and would go, or be cut, with the tenant schema: objects that depend on one
-- of the schema's objects and are not its own, and extensions with members in it (dropping such an
-- extension drops every column of its types, in every schema). PostgreSQL docs, pg_depend.
WITH tenant AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
), relation AS (
    SELECT pg_class.oid FROM pg_class JOIN tenant ON relnamespace = tenant.oid
), member AS (
    SELECT 'pg_class'::regclass AS classid, oid AS objid FROM relation
    UNION ALL
    SELECT 'pg_type'::regclass, pg_type.oid FROM pg_type JOIN tenant ON typnamespace = tenant.oid
    UNION ALL
    SELECT 'pg_proc'::regclass, pg_proc.oid FROM pg_proc JOIN tenant ON pronamespace = tenant.oid
    UNION ALL
    SELECT 'pg_operator'::regclass, pg_operator.oid
      FROM pg_operator JOIN tenant ON oprnamespace = tenant.oid
    UNION ALL
    SELECT 'pg_collation'::regclass, pg_collation.oid
      FROM pg_collation JOIN tenant ON collnamespace = tenant.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, pg_constraint.oid
      FROM pg_constraint JOIN tenant ON connamespace = tenant.oid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, pg_attrdef.oid FROM pg_attrdef JOIN relation ON adrelid = relation.oid
    UNION ALL
    SELECT 'pg_trigger'::regclass, pg_trigger.oid FROM pg_trigger JOIN relation ON tgrelid = relation.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, pg_policy.oid FROM pg_policy JOIN relation ON polrelid = relation.oid
    UNION ALL
    SELECT 'pg_rewrite'::regclass, pg_rewrite.oid FROM pg_rewrite JOIN relation ON ev_class = relation.oid
), extension AS (
    SELECT DISTINCT refobjid AS oid
      FROM member JOIN pg_depend USING (classid, objid)
     WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
)
SELECT object
  FROM (
    SELECT 1 AS rank, 'extension ' || extname AS object
      FROM extension JOIN pg_extension USING (oid)
    UNION
    SELECT 2, pg_describe_object(depend.classid, depend.objid, depend.objsubid)
      FROM member
      JOIN pg_depend AS depend
        ON depend.refclassid = member.classid AND depend.refobjid = member.objid
     WHERE depend.deptype IN ('n', 'a')
       AND depend.classid <> 'pg_publication_rel'::regclass
       AND (pg_identify_object(depend.classid, depend.objid, depend.objsubid)).schema
           IS DISTINCT FROM quote_ident(%(schema)s)
       AND NOT EXISTS (SELECT FROM member AS own
                        WHERE own.classid = depend.classid AND own.objid = depend.objid)
       -- what fills an operator class or family: parts of one that is the tenant's, or an extension's
       AND NOT EXISTS (SELECT FROM pg_depend AS filled
                        WHERE filled.classid = depend.classid AND filled.objid = depend.objid
                          AND filled.refclassid IN ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
                          AND (pg_identify_object(filled.refclassid, filled.refobjid, 0)).schema
                              = quote_ident(%(schema)s))
       -- casts, operator families, access methods: parts of an extension that is listed itself
       AND NOT EXISTS (SELECT FROM pg_depend AS part
                        WHERE part.classid = depend.classid AND part.objid = depend.objid
                          AND part.deptype = 'e' AND part.refobjid IN (SELECT oid FROM extension))
  ) AS outside
 ORDER BY rank, object
 LIMIT 20
