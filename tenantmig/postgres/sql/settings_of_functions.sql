-- The settings that the functions of a session's schemas, and of public, name where they set some.
WITH body (code) AS (
    SELECT pg_catalog.replace(pg_catalog.concat_ws(' ', prosrc,
           'SET ' || pg_catalog.array_to_string(proconfig, ' SET ')), '"', '')
      FROM pg_catalog.pg_depend JOIN pg_catalog.pg_proc ON pg_proc.oid = objid
     WHERE classid = 'pg_catalog.pg_proc'::regclass::oid AND deptype = 'n'
       AND refclassid = 'pg_catalog.pg_namespace'::regclass::oid
       AND refobjid IN (SELECT oid FROM pg_catalog.pg_namespace
                         WHERE nspname = ANY (pg_catalog.current_schemas(false))
                            OR nspname = 'public')
)
SELECT DISTINCT pg_catalog.lower(word[1])
  FROM body
 CROSS JOIN pg_catalog.regexp_matches(
           code, '\m([a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)+)', 'gi') AS word
 WHERE code ~* '\mset_config\M|\mset\s+((session|local)\s+)?\w+\.'
