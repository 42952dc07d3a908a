UPDATE {ledger}.run_tenant
   SET outcome = NULL, updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
