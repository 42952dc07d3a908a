UPDATE {ledger}.run_tenant
   SET to_revision = %(revision)s, outcome = %(outcome)s, is_partial = false,
        updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s AND attempts = %(attempt)s
   AND (%(schema)s::text IS NULL OR current_schema() = %(schema)s)
