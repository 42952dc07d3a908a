WITH settled AS (
    DELETE FROM {ledger}.doubt WHERE run = %(run)s AND tenant = %(tenant)s
)
UPDATE {ledger}.run_tenant
   SET attempts = %(attempt)s, is_claimed = true, updated_at = clock_timestamp(),
       outcome = CASE WHEN outcome = ANY(%(done)s) THEN outcome END, sqlstate = NULL, error = NULL
 WHERE run = %(run)s AND tenant = %(tenant)s
   AND (attempts < %(attempt)s OR %(is_onward)s AND attempts = %(attempt)s)
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
RETURNING outcome, xid IS NOT DISTINCT FROM %(lost_xid)s AS is_recorded,
          -- after a crash, which resets statistics, the number may be another transaction's
          CASE WHEN (SELECT stats_reset FROM pg_stat_bgwriter)
                    < (SELECT started_at FROM {ledger}.run WHERE id = %(run)s)
               THEN pg_xact_status(%(lost_xid)s::text::xid8) END AS fate
