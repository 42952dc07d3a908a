UPDATE {ledger}.run
   SET state = 'interrupted', epoch = epoch + 1, finished_at = clock_timestamp(),
       reason = 'its driver died'
 WHERE state = 'running' AND kind = ANY(%(kinds)s) AND NOT id = ANY(%(alive)s)
