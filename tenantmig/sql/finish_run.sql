UPDATE {ledger}.run
   SET state = %(state)s, reason = %(reason)s, finished_at = clock_timestamp()
 WHERE id = %(run)s AND epoch = %(epoch)s
RETURNING id
