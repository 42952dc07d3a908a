-- Extensions whose schema is the tenant's, whether they can be moved, and whether they have objects
-- in other schemas too. Those that others stand on come last. PostgreSQL docs, pg_extension.
SELECT extension.extname::text,
       extension.extrelocatable,
       EXISTS (SELECT FROM pg_depend AS part
                WHERE part.refclassid = 'pg_extension'::regclass
                  AND part.refobjid = extension.oid
                  AND part.deptype = 'e'
                  AND (pg_identify_object(part.classid, part.objid, 0)).schema
                      <> quote_ident(%(schema)s))
  FROM pg_extension AS extension
  JOIN pg_namespace AS tenant ON tenant.oid = extension.extnamespace
 WHERE tenant.nspname = %(schema)s::text
 ORDER BY (SELECT count(*) FROM pg_depend AS user_of
            WHERE user_of.refclassid = 'pg_extension'::regclass
              AND user_of.refobjid = extension.oid
              AND user_of.classid = 'pg_extension'::regclass), 1
