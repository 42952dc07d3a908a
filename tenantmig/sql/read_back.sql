SELECT ARRAY(SELECT version_num::text FROM ONLY {table}) AS versions,
       current_schema()::text AS place,
       (SELECT to_revision FROM {ledger}.run_tenant
         WHERE run = %(run)s AND tenant = %(tenant)s) AS journal,
       EXISTS (SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
                  AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('tenantmig.tenant:' || %(tenant_schema)s, %(salt)s)) AS is_locked
