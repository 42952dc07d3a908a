-- The keys of advisory locks begin with a number that only readers of the ledger know, so that no other
-- login role can take them beforehand. 64 random bits but for four.
ALTER TABLE {ledger}.ledger_version ADD COLUMN lock_salt bigint;

CREATE OR REPLACE FUNCTION {ledger}.enter(this_run bigint, this_tenant text, this_schema text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF NOT pg_try_advisory_lock(hashtextextended(
        'tenantmig.tenant:' || this_schema,
        (SELECT lock_salt FROM {ledger}.ledger_version WHERE version = 4)))
    THEN
        RAISE EXCEPTION 'tenantmig: the tenant is locked';
    END IF;
    -- a statement of its own, so that it sees what was committed before the lock was had
    IF EXISTS (SELECT FROM {ledger}.part WHERE schema = this_schema)
        OR EXISTS (SELECT FROM {ledger}.doubt WHERE run = this_run AND tenant = this_tenant)
    THEN
        RAISE EXCEPTION 'tenantmig: an earlier attempt left something open';
    END IF;
END
$function$;

INSERT INTO {ledger}.ledger_version (version, lock_salt)
VALUES (4, ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint);
