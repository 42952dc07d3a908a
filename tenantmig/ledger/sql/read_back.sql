SELECT ARRAY(SELECT version_num::pg_catalog.text FROM ONLY {table}) AS versions,
       pg_catalog.current_schema()::pg_catalog.text AS place,
       (SELECT to_revision FROM {ledger}.run_tenant
         WHERE run = %(run)s AND tenant = %(tenant)s) AS journal,
       EXISTS (SELECT FROM pg_catalog.pg_locks
                WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND granted
                  AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
                  AND (classid::bigint OPERATOR(pg_catalog.<<) 32
                       OPERATOR(pg_catalog.|) objid::bigint)
                      OPERATOR(pg_catalog.=) pg_catalog.hashtextextended(
                          'tenantmig.tenant:' OPERATOR(pg_catalog.||) %(tenant_schema)s, %(salt)s)
       ) AS is_locked
