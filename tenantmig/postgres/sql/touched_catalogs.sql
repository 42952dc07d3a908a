-- What this transaction has written: of these system catalogs those in which it changed a row. Counts
-- of an earlier transaction of the session may be among them. Those of tables, which may be large, are
-- left out where nothing can have changed but what is locked.
SELECT pg_backend_pid(), pg_current_xact_id_if_assigned()::xid::text,
       current_setting('track_counts')::boolean,
       ARRAY(SELECT relname::text FROM pg_class
              WHERE relnamespace = 'pg_catalog'::regnamespace AND relname = ANY (%(catalogs)s)
                AND (relname NOT IN ('pg_class', 'pg_attribute')
                     OR %(may_grant)s OR pg_relation_size(oid) < %(small)s)
                AND pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
                    + pg_stat_get_xact_tuples_deleted(oid) > 0)
