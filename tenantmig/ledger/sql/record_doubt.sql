INSERT INTO {ledger}.doubt (run, tenant, sqlstate, error, lost_xid)
SELECT id, %(tenant)s, %(sqlstate)s, %(error)s, %(lost_xid)s
  FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s
    ON CONFLICT (run, tenant) DO UPDATE SET sqlstate = excluded.sqlstate, error = excluded.error
RETURNING run
