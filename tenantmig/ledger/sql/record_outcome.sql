UPDATE {ledger}.run_tenant
   SET outcome = CASE WHEN outcome = ANY(%(done)s) AND NOT %(is_undone)s THEN outcome ELSE %(outcome)s END,
       to_revision = CASE WHEN %(is_undone)s THEN NULL
                          WHEN %(outcome)s = 'already_current' THEN %(to_revision)s
                          ELSE to_revision END,
       engine = %(engine)s, attempts = greatest(attempts, %(attempts)s), wave = %(wave)s,
       duration_s = %(duration_s)s, sqlstate = %(sqlstate)s, error = %(error)s, lost_xid = %(lost_xid)s,
       backup = coalesce(%(backup)s, backup), updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
RETURNING outcome, to_revision
