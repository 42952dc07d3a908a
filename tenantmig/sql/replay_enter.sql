-- Binds a session to a tenant schema and takes the tenant's lock; a cast that fails refuses to go on
-- where somebody else has it, or an earlier attempt left something open.
SELECT set_config('search_path', quote_ident({schema}) || {path}, false),
       set_config('lock_timeout', {lock_timeout}, false),
       CASE WHEN pg_try_advisory_lock(hashtextextended('tenantmig.tenant:' || {schema}, 0))
             AND NOT EXISTS (SELECT FROM {ledger}.part WHERE schema = {schema})
             AND NOT EXISTS (SELECT FROM {ledger}.doubt WHERE run = {run} AND tenant = {name})
            THEN 0 ELSE ('tenantmig: the tenant is locked or in doubt: ' || clock_timestamp())::int END
