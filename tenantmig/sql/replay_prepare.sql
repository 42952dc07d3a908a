-- The journal row of a revision, claimed and written at once; a cast that fails refuses the COMMIT.
PREPARE tenantmig_reached (text, integer, text, text, text) AS
WITH reached AS (
    UPDATE {ledger}.run_tenant
       SET attempts = greatest(attempts, $2 - 1), is_claimed = true, to_revision = $4, outcome = $5,
           xid = pg_current_xact_id()::text, sqlstate = NULL, error = NULL,
           updated_at = clock_timestamp()
     WHERE run = {run} AND tenant = $1 AND attempts <= $2
       AND (outcome IS NULL OR outcome <> ALL ({done}::text[]))
       AND EXISTS (SELECT FROM {ledger}.run WHERE id = {run} AND epoch = {epoch})
       AND current_schema() = $3
    RETURNING xid
)
SELECT CASE count(*) WHEN 1 THEN min(xid)
            ELSE ('tenantmig: the tenant is not as it was planned: ' || count(*))::int::text END
  FROM reached
