SELECT pg_backend_pid(), pg_is_in_recovery(),
       (SELECT system_identifier FROM pg_control_system())
       || '/' || CASE WHEN pg_is_in_recovery() THEN 0
                      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END
