UPDATE {ledger}.run_tenant
   SET outcome = %(outcome)s, from_revision = %(from_revision)s, to_revision = %(to_revision)s,
       engine = %(engine)s, attempts = greatest(attempts, %(attempts)s), wave = %(wave)s,
       duration_s = %(duration_s)s, sqlstate = %(sqlstate)s, error = %(error)s,
       updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s
