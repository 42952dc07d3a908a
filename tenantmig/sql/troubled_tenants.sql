SELECT run, tenant, outcome, error
  FROM (SELECT DISTINCT ON (tenant) run, tenant,
               coalesce(outcome, 'in_doubt') AS outcome,
               coalesce(intent.error, doubt.error) AS error
          FROM {ledger}.run_tenant AS intent
          LEFT JOIN {ledger}.doubt USING (run, tenant)
         WHERE attempts > 0 AND (outcome IS NOT NULL OR doubt.run IS NOT NULL)
           AND coalesce(outcome, '') NOT IN ('skipped', 'interrupted') -- these settle nothing
         ORDER BY tenant, run DESC) AS latest
 WHERE outcome IN ('failed', 'in_doubt')
