-- A row if a run had something to do for a tenant, or nothing left to do for any.
SELECT id FROM {ledger}.run
 WHERE id = %(run)s
   AND (state = 'complete'
        OR EXISTS (SELECT FROM {ledger}.run_tenant AS intent
                    WHERE intent.run = run.id
                      -- a ledger's rows of version 1 have no destination
                      AND (destination IS NOT NULL OR outcome IS NULL OR attempts > 0)))
