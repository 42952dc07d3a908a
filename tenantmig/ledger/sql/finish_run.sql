UPDATE {ledger}.run
   SET state = %(state)s, reason = %(reason)s, finished_at = clock_timestamp(),
       options = options || jsonb_build_object('obstacles', %(obstacles)s, 'warnings', %(warnings)s)
 WHERE id = %(run)s AND epoch = %(epoch)s
RETURNING id
