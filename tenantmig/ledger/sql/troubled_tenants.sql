-- A doubt stands until somebody reads the tenant under its lock: a later attempt that never got the
-- lock, or a run that did not come to the tenant, settles nothing.
WITH told AS (
    SELECT run, tenant, coalesce(outcome, 'in_doubt') AS outcome,
           coalesce(intent.error, doubt.error) AS error,
           coalesce(intent.sqlstate, doubt.sqlstate) AS sqlstate, updated_at,
           is_claimed OR coalesce(outcome, 'in_doubt') <> 'failed' AS is_settling
      FROM {ledger}.run_tenant AS intent
      LEFT JOIN {ledger}.doubt USING (run, tenant)
     WHERE tenant IS NOT NULL AND (attempts > 0 OR outcome = 'already_current')
       AND (outcome IS NOT NULL OR doubt.run IS NOT NULL)
       AND coalesce(outcome, '') NOT IN ('skipped', 'interrupted')
), latest AS (
    SELECT DISTINCT ON (tenant) * FROM told ORDER BY tenant, updated_at DESC
), settling AS (
    SELECT DISTINCT ON (tenant) * FROM told WHERE is_settling ORDER BY tenant, updated_at DESC
)
SELECT run, tenant, outcome, error, sqlstate FROM settling WHERE outcome = 'in_doubt'
UNION ALL
SELECT run, tenant, outcome, error, sqlstate FROM latest
 WHERE outcome = 'failed'
   AND tenant NOT IN (SELECT tenant FROM settling WHERE outcome = 'in_doubt')
