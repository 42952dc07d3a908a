-- What a claim left, read after its COMMIT: the journal, the schema's name and its version.
SELECT run.id AS run, run.started_at, intent.to_revision, intent.outcome, intent.duration_s,
       pg_catalog.array_to_string(ARRAY(SELECT version_num::pg_catalog.text FROM ONLY {table}
                                         ORDER BY version_num), ',') AS versions,
       EXISTS (SELECT FROM {ledger}.tenant
                WHERE name OPERATOR(pg_catalog.=) %(tenant)s
                  AND schema OPERATOR(pg_catalog.=) %(tenant_schema)s
                  AND state OPERATOR(pg_catalog.=) 'active') AS is_registered
  FROM {ledger}.run JOIN {ledger}.run_tenant AS intent ON intent.run OPERATOR(pg_catalog.=) run.id
 WHERE run.options OPERATOR(pg_catalog.->>) 'claim' OPERATOR(pg_catalog.=) %(claim)s
   AND run.id OPERATOR(pg_catalog.>=) %(least)s AND intent.tenant OPERATOR(pg_catalog.=) %(tenant)s
