-- What has one of these names in a schema that is not on the search path, and belongs to an extension
-- or is where tenants share things: any other schema may be a tenant's, and with a version table is.
WITH found (catalog, oid, name, namespace) AS (
    SELECT 'pg_class'::regclass, oid, relname, relnamespace FROM pg_class
     WHERE %(sqlstate)s::text = '42P01' AND relname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, proname, pronamespace FROM pg_proc
     WHERE %(sqlstate)s::text = '42883' AND proname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_operator'::regclass, oid, oprname, oprnamespace FROM pg_operator
     WHERE %(sqlstate)s::text = '42883' AND oprname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_type'::regclass, oid, typname, typnamespace FROM pg_type
     WHERE %(sqlstate)s::text = '42704' AND typname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_opclass'::regclass, oid, opcname, opcnamespace FROM pg_opclass
     WHERE %(sqlstate)s::text = '42704' AND opcname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_collation'::regclass, oid, collname, collnamespace FROM pg_collation
     WHERE %(sqlstate)s::text = '42704' AND collname = ANY (%(names)s::text[])
    UNION ALL
    SELECT 'pg_ts_config'::regclass, oid, cfgname, cfgnamespace FROM pg_ts_config
     WHERE %(sqlstate)s::text = '42704' AND cfgname = ANY (%(names)s::text[])
)
SELECT found.name::text, nspname::text, extname::text, pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  FROM found
  JOIN pg_namespace AS n ON n.oid = namespace
  LEFT JOIN pg_depend AS d ON d.classid = catalog::oid AND d.objid = found.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension AS e ON e.oid = d.refobjid
 WHERE nspname <> ALL (current_schemas(true))
   AND nspname NOT IN (%(ledger)s, 'information_schema')
   AND nspname NOT LIKE 'pg\_%%'
   AND (nspname IN ('public', %(shared)s::text) OR extname IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = %(version_table)s::text))
 ORDER BY extname IS NULL, nspname = 'public', nspname
 LIMIT 1
