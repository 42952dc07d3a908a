-- Fails (division by zero) unless the journal of the restore was written.
SELECT 1 / (SELECT count(*)
              FROM {ledger}.run_tenant
             WHERE run = %(run)s AND tenant = %(tenant)s AND outcome = 'restored')::int
