UPDATE {ledger}.run_tenant
   SET is_partial = true, updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s AND attempts = %(attempt)s
