-- What the replay engine asks of the server for each tenant. Functions, because their plans are kept:
-- a prepared statement is planned anew whenever the search path is another, that is for each tenant.

-- Takes the tenant's lock; refuses to go on where somebody else has it, or an earlier attempt left
-- something open.
CREATE FUNCTION {ledger}.enter(this_run bigint, this_tenant text, this_schema text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF NOT pg_try_advisory_lock(hashtextextended('tenantmig.tenant:' || this_schema, 0)) THEN
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

-- The journal row of a revision, claimed and written at once, in the transaction of its DDL; refuses
-- the COMMIT where the tenant is not as it was planned (is_right says what the caller has seen), or
-- another driver has taken over.
CREATE FUNCTION {ledger}.reached(
    this_run bigint, this_epoch integer, this_tenant text, this_attempt integer, is_right boolean,
    revision text, reached_outcome text, done text[]
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF is_right IS NOT TRUE THEN
        RAISE EXCEPTION 'tenantmig: the version table or the session is not as it was planned';
    END IF;
    UPDATE {ledger}.run_tenant
       SET attempts = greatest(attempts, this_attempt - 1), is_claimed = true, to_revision = revision,
           outcome = reached_outcome, xid = pg_current_xact_id()::text, sqlstate = NULL, error = NULL,
           updated_at = clock_timestamp()
     WHERE run = this_run AND tenant = this_tenant AND attempts <= this_attempt
       AND (outcome IS NULL OR outcome <> ALL (done))
       AND EXISTS (SELECT FROM {ledger}.run WHERE id = this_run AND epoch = this_epoch);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenantmig: the tenant is done, or another driver works on it';
    END IF;
END
$function$;

-- also where the owner's default privileges give it to nobody: they run with the caller's rights
GRANT EXECUTE ON FUNCTION {ledger}.enter, {ledger}.reached TO PUBLIC;

INSERT INTO {ledger}.ledger_version (version) VALUES (3);
