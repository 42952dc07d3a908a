SELECT run, tenant, outcome, error
  FROM (SELECT DISTINCT ON (tenant) run, tenant, outcome, error
          FROM {ledger}.run_tenant
         WHERE attempts > 0 AND outcome NOT IN ('skipped', 'interrupted') -- these settle nothing
         ORDER BY tenant, run DESC) AS latest
 WHERE outcome IN ('failed', 'in_doubt')
