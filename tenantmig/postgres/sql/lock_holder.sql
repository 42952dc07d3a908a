-- The sessions that hold advisory locks of these names, a row each. What other roles do is hidden from a
-- role without pg_read_all_stats; who they are is not.
SELECT DISTINCT activity.pid, activity.usename::text AS role, activity.application_name AS application,
       host(activity.client_addr) AS address, activity.state,
       to_char(coalesce(activity.xact_start, activity.backend_start), 'YYYY-MM-DD HH24:MI:SS TZ') AS since
  FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
 WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
   AND pg_locks.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND (classid::bigint << 32 | objid::bigint)
       = ANY (ARRAY(SELECT hashtextextended(name, %(salt)s) FROM unnest(%(names)s::text[]) AS name))
 ORDER BY activity.pid
