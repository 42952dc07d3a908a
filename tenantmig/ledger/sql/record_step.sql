WITH whole AS (
    DELETE FROM {ledger}.part WHERE schema OPERATOR(pg_catalog.=) %(tenant_schema)s
)
UPDATE {ledger}.run_tenant
   SET to_revision = %(revision)s, outcome = %(outcome)s,
       xid = pg_catalog.pg_current_xact_id()::pg_catalog.text,
       updated_at = pg_catalog.clock_timestamp()
 WHERE run OPERATOR(pg_catalog.=) %(run)s AND tenant OPERATOR(pg_catalog.=) %(tenant)s
   AND attempts OPERATOR(pg_catalog.=) %(attempt)s
   AND EXISTS (SELECT FROM {ledger}.run WHERE id OPERATOR(pg_catalog.=) %(run)s
                  AND epoch OPERATOR(pg_catalog.=) %(epoch)s)
   AND (%(schema)s::pg_catalog.text IS NULL
        OR pg_catalog.current_schema() OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.text)
RETURNING xid
