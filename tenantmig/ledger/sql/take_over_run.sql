UPDATE {ledger}.run
   SET state = 'running', epoch = epoch + 1, reason = NULL, finished_at = NULL, host = %(host)s,
       driver_pid = %(driver_pid)s, tool_version = %(tool_version)s, server = %(server)s,
       options = %(options)s
 WHERE id = %(run)s
RETURNING id, epoch, started_at, server
