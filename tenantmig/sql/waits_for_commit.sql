-- Whether something in a tenant schema may wait for the COMMIT: a deferrable constraint or trigger. A
-- deferrable constraint has a trigger of the server's own.
SELECT EXISTS (
    SELECT FROM pg_namespace JOIN pg_depend ON refobjid = pg_namespace.oid JOIN pg_trigger ON tgrelid = objid
     WHERE nspname = %(schema)s AND refclassid = 'pg_namespace'::regclass
       AND classid = 'pg_class'::regclass AND tgdeferrable
)
