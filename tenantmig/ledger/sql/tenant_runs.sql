-- The newest runs that had a tenant of this name, with what each did to it.
SELECT told.id::text AS id, to_jsonb(told)::text AS facts, to_jsonb(clock_timestamp()) #>> '{{}}' AS now,
       told.state::text = 'running' AND NOT EXISTS (
           SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (classid::bigint << 32 | objid::bigint)
                  = hashtextextended('tenantmig.run:' || told.id::text, %(salt)s)) AS is_cut_off,
       intent.tenant::text AS tenant, to_jsonb(intent)::text AS intent, to_jsonb(doubt)::text AS doubt
  FROM {ledger}.run_tenant AS intent
  JOIN {ledger}.run AS told ON told.id::text = intent.run::text
  LEFT JOIN {ledger}.doubt AS doubt
         ON doubt.run::text = intent.run::text AND doubt.tenant::text = intent.tenant::text
 WHERE intent.tenant::text = %(tenant)s::text
 ORDER BY told.id DESC
 LIMIT %(limit)s
