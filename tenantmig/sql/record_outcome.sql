UPDATE {ledger}.run_tenant
   SET outcome = CASE WHEN %(is_undone)s THEN %(outcome)s ELSE coalesce(outcome, %(outcome)s) END,
       from_revision = %(from_revision)s,
       to_revision = CASE WHEN %(is_undone)s THEN NULL
                          WHEN %(outcome)s = 'already_current' THEN %(to_revision)s
                          ELSE to_revision END,
       engine = %(engine)s, attempts = greatest(attempts, %(attempts)s), wave = %(wave)s,
       duration_s = %(duration_s)s, sqlstate = %(sqlstate)s, error = %(error)s,
       updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s
RETURNING outcome, to_revision
