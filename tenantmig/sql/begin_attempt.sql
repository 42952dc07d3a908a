UPDATE {ledger}.run_tenant
   SET attempts = %(attempt)s, updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s AND attempts < %(attempt)s
RETURNING outcome, is_partial
