-- Sessions that hold locks on tables of these schemas, a row each and schema; the longest transaction first.
-- What other roles do is hidden from a role without pg_read_all_stats; who they are is not.
SELECT namespace.nspname::text AS schema, activity.pid, activity.usename::text AS role,
       activity.application_name AS application, host(activity.client_addr) AS address, activity.state,
       to_char(coalesce(activity.xact_start, activity.backend_start), 'YYYY-MM-DD HH24:MI:SS TZ') AS since,
       string_agg(DISTINCT class.relname::text, ', ' ORDER BY class.relname::text) AS tables
  FROM pg_catalog.pg_namespace AS namespace
  JOIN pg_catalog.pg_class AS class ON class.relnamespace = namespace.oid
  JOIN pg_catalog.pg_locks AS held ON held.relation = class.oid
  JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid
 WHERE namespace.nspname = ANY (%(schemas)s::text[]) AND class.relkind IN ('r', 'p', 'm', 'v', 'f', 'S')
   AND held.locktype = 'relation' AND held.granted AND held.pid <> ALL (%(besides)s::int[])
   AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
 GROUP BY 1, 2, 3, 4, 5, 6, 7
 ORDER BY since, pid
