UPDATE {ledger}.run_tenant
   SET outcome = coalesce(outcome, %(outcome)s), updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = ANY(%(tenants)s)
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
RETURNING tenant
