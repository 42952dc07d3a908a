SELECT tenant, schema,
       coalesce(outcome, CASE WHEN doubt.run IS NOT NULL THEN 'in_doubt' END) AS outcome,
       from_revision, to_revision, target, destination, engine, attempts, wave, duration_s, backup,
       coalesce(intent.sqlstate, doubt.sqlstate) AS sqlstate,
       coalesce(intent.error, doubt.error) AS error,
       coalesce(intent.lost_xid, doubt.lost_xid) AS lost_xid
  FROM {ledger}.run_tenant AS intent
  LEFT JOIN {ledger}.doubt USING (run, tenant)
 WHERE run = %(run)s
 ORDER BY tenant
