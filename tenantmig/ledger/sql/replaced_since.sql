SELECT DISTINCT ON (tenant) tenant, run, kind
  FROM {ledger}.run_tenant JOIN {ledger}.run ON run.id = run
 WHERE run > %(run)s AND outcome IN ('onboarded', 'offboarded', 'restored')
 ORDER BY tenant, run DESC
