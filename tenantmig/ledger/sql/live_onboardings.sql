-- Tenants that another driver is onboarding right now, and began to before this run.
SELECT intent.tenant
  FROM {ledger}.run JOIN {ledger}.run_tenant AS intent ON intent.run = run.id
 WHERE run.state = 'running' AND run.kind = 'onboard' AND run.id < %(run)s
   AND intent.outcome IS NULL
   AND left(intent.tenant, 15) <> 'tenantmig_pool_' -- is no tenant
   AND EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('tenantmig.run:' || run.id, %(salt)s))
 ORDER BY tenant
