-- Rows as JSON: what is wrong in one of them keeps nobody from reading the others.
SELECT run.id::text AS id, to_jsonb(run)::text AS facts, to_jsonb(clock_timestamp()) #>> '{{}}' AS now,
       run.state::text = 'running' AND NOT EXISTS (
           SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (classid::bigint << 32 | objid::bigint)
                  = hashtextextended('tenantmig.run:' || run.id::text, %(salt)s)) AS is_cut_off
  FROM {ledger}.run AS run
 WHERE %(run)s::bigint IS NULL OR run.id = %(run)s
 ORDER BY run.id DESC
 LIMIT %(limit)s
