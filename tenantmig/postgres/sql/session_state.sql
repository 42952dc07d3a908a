-- What a session holds that its connection did not bring along, a row each: settings but our limits,
-- and those of no extension, which are in no view, by their names; roles; what is in no schema.
SELECT 'SET ' || name AS what, setting AS value
  FROM pg_catalog.pg_settings
 WHERE source = 'session' AND setting IS DISTINCT FROM reset_val
   AND name NOT IN ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')
UNION ALL
SELECT 'SET ' || name, pg_catalog.current_setting(name, true)
  FROM pg_catalog.unnest(%(named)s::text[]) AS custom (name)
 WHERE pg_catalog.current_setting(name, true) IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS set
                    WHERE pg_catalog.lower(set) = pg_catalog.lower(
                          name || '=' || pg_catalog.current_setting(name, true)))
UNION ALL
VALUES ('SET ROLE', current_user::text), ('SET SESSION AUTHORIZATION', session_user::text)
UNION ALL
SELECT 'a temporary object:', pg_catalog.pg_describe_object(classid, objid, objsubid)
  FROM pg_catalog.pg_depend
 WHERE refclassid = 'pg_catalog.pg_namespace'::regclass::oid
   AND refobjid = pg_catalog.pg_my_temp_schema()
UNION ALL
SELECT 'PREPARE', name FROM pg_catalog.pg_prepared_statements
UNION ALL
SELECT 'a cursor WITH HOLD:', name FROM pg_catalog.pg_cursors WHERE is_holdable
UNION ALL
SELECT 'LISTEN', channel FROM pg_catalog.pg_listening_channels() AS channel
UNION ALL
SELECT 'an advisory lock:', pg_catalog.format('%%s, %%s, %%s', classid, objid, mode)
  FROM pg_catalog.pg_locks
 WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()
