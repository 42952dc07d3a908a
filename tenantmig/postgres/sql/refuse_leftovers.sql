-- Refuse the COMMIT if something of the tenant's could run at it, or with the version row, as the
-- connected role.
DO {tag}
DECLARE
    path pg_catalog.text := pg_catalog.current_setting('search_path');
    first pg_catalog.text := (pg_catalog.current_schemas(true))[1];
    found pg_catalog.text;
BEGIN
    IF {schema} OPERATOR(pg_catalog.=) ANY ({trusted}::pg_catalog.text[]) THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    WITH RECURSIVE roles AS (
        SELECT nspowner AS oid FROM pg_namespace WHERE nspname = {schema}
        UNION
        SELECT roleid FROM pg_auth_members JOIN roles ON member = roles.oid
    ), code AS MATERIALIZED (
        SELECT objid AS oid FROM pg_shdepend
         WHERE refclassid = 'pg_authid'::regclass AND refobjid IN (SELECT oid FROM roles)
           AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND classid = 'pg_proc'::regclass AND deptype = 'o'
    ), places AS MATERIALIZED (
        SELECT objid AS oid FROM pg_shdepend
         WHERE refclassid = 'pg_authid'::regclass AND refobjid IN (SELECT oid FROM roles)
           AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND classid = 'pg_class'::regclass AND deptype = 'o'
        UNION
        SELECT objid FROM pg_depend
         WHERE refclassid = 'pg_namespace'::regclass AND classid = 'pg_class'::regclass
           AND refobjid = (SELECT oid FROM pg_namespace WHERE nspname = {schema})
        UNION -- others' tables, too: whose rows this transaction has changed, it has locked
        SELECT relation FROM pg_locks
         WHERE locktype = 'relation' AND pid = pg_backend_pid() AND relation >= 16384
           AND mode NOT IN ('AccessShareLock', 'RowShareLock')
    ), waiting AS (
        SELECT format('the deferrable trigger %s on %s', quote_ident(tgname), tgrelid::regclass)
          FROM pg_trigger
         WHERE tgdeferrable AND NOT tgisinternal
           AND (tgrelid IN (SELECT oid FROM places)
                OR oid IN (SELECT objid FROM pg_depend
                            WHERE refclassid = 'pg_proc'::regclass AND classid = 'pg_trigger'::regclass
                              AND refobjid IN (SELECT oid FROM code)))
        UNION ALL
        SELECT format('the deferrable constraint %s', quote_ident(conname))
          FROM pg_constraint JOIN pg_index ON indexrelid = conindid
         WHERE contype = 'x' AND condeferrable AND (indexprs IS NOT NULL OR indpred IS NOT NULL)
           AND conrelid IN (SELECT oid FROM places)
        UNION ALL
        SELECT format('the implicit cast from %s to %s', castsource::regtype, casttarget::regtype)
          FROM pg_cast WHERE castcontext = 'i' AND castfunc IN (SELECT oid FROM code)
    ), odd (thing) AS (
        TABLE waiting
        UNION ALL
        SELECT 'the search_path, on which pg_catalog is not first' WHERE first <> 'pg_catalog'
        UNION ALL
        SELECT unnest(shadows || oddities) FROM ({version_tables}) AS kept
    )
    SELECT string_agg(thing, '; ' ORDER BY thing) INTO found FROM odd;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'the tenant schema could run code as the migrator after this revision, which'
            ' was rolled back: %', found
            USING HINT = 'Drop it; if it is meant, add the schema to trusted_schemas.',
                  ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_catalog.set_config('search_path', path, true);
END {tag}
