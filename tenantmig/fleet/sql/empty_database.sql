-- One row if this database holds no relation but those of extensions and of the ledger, and this role
-- may make another one.
SELECT WHERE (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user)
   AND NOT EXISTS (
       SELECT FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
          AND relnamespace IS DISTINCT FROM to_regnamespace(quote_ident(%(ledger)s))
          AND NOT EXISTS (
              SELECT FROM pg_depend
               WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'))
