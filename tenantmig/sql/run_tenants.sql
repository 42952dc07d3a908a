SELECT tenant, schema, outcome, from_revision, to_revision, engine, attempts, wave, duration_s,
       sqlstate, error
  FROM {ledger}.run_tenant
 WHERE run = %(run)s
 ORDER BY tenant
