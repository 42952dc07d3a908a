SELECT tenant, outcome
  FROM (SELECT DISTINCT ON (tenant) tenant, outcome
          FROM {ledger}.run_tenant
         ORDER BY tenant, run DESC) AS latest
 WHERE outcome IN ('failed', 'in_doubt')
