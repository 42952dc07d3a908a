-- The settings that the functions of a session's schemas, and of public, name where they set some.
WITH body (code) AS (
    SELECT replace(concat_ws(' ', prosrc, 'SET ' || array_to_string(proconfig, ' SET ')), '"', '')
      FROM pg_catalog.pg_depend JOIN pg_catalog.pg_proc ON pg_proc.oid = objid
     WHERE classid = 'pg_catalog.pg_proc'::regclass AND deptype = 'n'
       AND refclassid = 'pg_catalog.pg_namespace'::regclass
       AND refobjid IN (SELECT oid FROM pg_catalog.pg_namespace
                         WHERE nspname = ANY (current_schemas(false)) OR nspname = 'public')
)
SELECT DISTINCT lower(word[1])
  FROM body
 CROSS JOIN regexp_matches(code, '\m([a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)+)', 'gi') AS word
 WHERE code ~* '\mset_config\M|\mset\s+((session|local)\s+)?\w+\.'
