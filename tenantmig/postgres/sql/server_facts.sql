SELECT pg_backend_pid(), pg_is_in_recovery(),
       (SELECT system_identifier FROM pg_control_system())
       || '/' || CASE WHEN pg_is_in_recovery() THEN 0
                      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       EXISTS (SELECT FROM pg_catalog.pg_attribute
                 JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
                 JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
                WHERE nspname = %(ledger_schema)s AND relname = 'ledger_version'
                  AND attname = 'lock_salt')
