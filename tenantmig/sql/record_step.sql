WITH whole AS (
    DELETE FROM {ledger}.part WHERE schema = %(tenant_schema)s
)
UPDATE {ledger}.run_tenant
   SET to_revision = %(revision)s, outcome = %(outcome)s, xid = pg_current_xact_id()::text,
       updated_at = clock_timestamp()
 WHERE run = %(run)s AND tenant = %(tenant)s AND attempts = %(attempt)s
   AND EXISTS (SELECT FROM {ledger}.run WHERE id = %(run)s AND epoch = %(epoch)s)
   AND (%(schema)s::text IS NULL OR current_schema() = %(schema)s)
RETURNING xid
