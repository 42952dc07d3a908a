-- A mark over what is outside the tenants and may decide a birth: the server, who asks it, its settings,
-- extensions, default privileges, and what lies in the schemas that tenants share. And one over the roles
-- that there are, which come and go and matter only to who asks for them.
WITH shared AS (
    SELECT oid FROM pg_namespace WHERE nspname = ANY (%(schemas)s::text[])
), line (text) AS (
    SELECT concat_ws(' ', current_setting('server_version_num'), current_user, session_user)
    UNION ALL
    SELECT concat_ws(' ', name, setting) FROM pg_settings
     WHERE source IN ('configuration file', 'database', 'user', 'database user', 'global',
                      'environment variable', 'command line')
       AND name IN ('standard_conforming_strings', 'TimeZone', 'DateStyle', 'IntervalStyle',
                    'default_tablespace', 'default_table_access_method', 'default_text_search_config',
                    'default_toast_compression', 'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time',
                    'bytea_output', 'extra_float_digits', 'quote_all_identifiers', 'xmloption',
                    'backslash_quote', 'escape_string_warning', 'row_security', 'session_replication_role',
                    'array_nulls', 'transform_null_equals', 'check_function_bodies', 'createrole_self_grant')
        OR name LIKE '%%.%%'
    UNION ALL
    SELECT concat_ws(' ', 'member', oid, rolname, rolsuper, rolbypassrls) FROM pg_roles
     WHERE pg_has_role(oid, 'MEMBER')
    UNION ALL
    SELECT concat_ws(' ', 'extension', extname, extversion, extnamespace) FROM pg_extension
    UNION ALL
    SELECT concat_ws(' ', 'setting', setdatabase, setrole, setconfig) FROM pg_db_role_setting
     WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION ALL
    SELECT concat_ws(' ', 'default', defaclrole, defaclobjtype, defaclacl) FROM pg_default_acl
     WHERE defaclnamespace = 0
    UNION ALL
    SELECT concat_ws(' ', 'event trigger', evtname, evtfoid, evtenabled, evtevent) FROM pg_event_trigger
    UNION ALL
    SELECT concat_ws(' ', 'schema', nspname, nspowner, nspacl) FROM pg_namespace
     WHERE oid IN (TABLE shared)
    UNION ALL
    SELECT concat_ws(' ', 'relation', c.oid, relname, relkind, relowner, relacl, attname, atttypid,
                     attnotnull)
      FROM pg_class AS c LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
     WHERE relnamespace IN (TABLE shared) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    UNION ALL
    SELECT concat_ws(' ', 'type', oid, typname, typowner, typacl) FROM pg_type
     WHERE typnamespace IN (TABLE shared) AND typtype IN ('e', 'd', 'r', 'b') AND typelem = 0
    UNION ALL
    SELECT concat_ws(' ', 'label', enumtypid, enumlabel, enumsortorder)
      FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid WHERE typnamespace IN (TABLE shared)
    UNION ALL
    SELECT concat_ws(' ', 'routine', oid, proname, proowner, proacl, proconfig, md5(prosrc), prosqlbody)
      FROM pg_proc WHERE pronamespace IN (TABLE shared)
)
SELECT encode(sha256(convert_to(string_agg(text, E'\n' ORDER BY text COLLATE "C"), 'UTF8')), 'hex')
,
       (SELECT encode(sha256(convert_to(string_agg(rolname, E'\n' ORDER BY rolname COLLATE "C"), 'UTF8')),
                      'hex')
          FROM pg_roles)
  FROM line
