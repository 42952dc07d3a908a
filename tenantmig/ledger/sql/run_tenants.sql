SELECT intent.tenant::text AS tenant, to_jsonb(intent)::text AS intent, to_jsonb(doubt)::text AS doubt
  FROM {ledger}.run_tenant AS intent
  LEFT JOIN {ledger}.doubt AS doubt ON doubt.run = intent.run AND doubt.tenant = intent.tenant
 WHERE intent.run = %(run)s
 ORDER BY intent.tenant
