-- Schemas that wait for a sign-up. No part of the ledger's version: an older tenantmig has no use for them.
CREATE TABLE IF NOT EXISTS {ledger}.pool_member (
    schema text PRIMARY KEY,
    revision text NOT NULL, -- of its version table, when it was finished
    history text NOT NULL,  -- a hash of the scripts and settings that made it
    files jsonb NOT NULL,   -- the other files that were read for it, each with its hash
    rows jsonb NOT NULL,    -- a hash for the rows of each table
    stamp text NOT NULL,    -- of the catalog's own rows about it (see pool_stamp)
    run bigint NOT NULL,    -- by which it was created
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What changes whenever anything in a schema is created, altered, granted or dropped: which rows the
-- catalogs have about it, and the transactions that wrote them. VACUUM and ANALYZE change none of them.
CREATE OR REPLACE FUNCTION {ledger}.pool_stamp(this_schema text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
WITH place AS MATERIALIZED (
    SELECT oid, xmin FROM pg_namespace WHERE nspname = this_schema
), object AS MATERIALIZED (
    SELECT depend.classid, depend.objid
      FROM place JOIN pg_depend AS depend ON refclassid = 'pg_namespace'::regclass
                                         AND refobjid = place.oid
), relation AS MATERIALIZED (
    SELECT class.oid, class.xmin
      FROM object JOIN pg_class AS class ON class.oid = objid WHERE classid = 'pg_class'::regclass
), line (told) AS (
    SELECT concat_ws(' ', 'schema', oid, xmin) FROM place
    UNION ALL SELECT concat_ws(' ', classid, objid) FROM object
    UNION ALL SELECT concat_ws(' ', 'relation', oid, xmin) FROM relation
    UNION ALL SELECT concat_ws(' ', 'column', attrelid, attnum, pg_attribute.xmin)
      FROM relation JOIN pg_attribute ON attrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'default', adrelid, adnum, pg_attrdef.xmin)
      FROM relation JOIN pg_attrdef ON adrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'constraint', c.oid, c.xmin)
      FROM relation JOIN pg_constraint AS c ON conrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'index', indexrelid, pg_index.xmin, class.xmin)
      FROM relation JOIN pg_index ON indrelid = relation.oid JOIN pg_class AS class ON class.oid = indexrelid
    UNION ALL SELECT concat_ws(' ', 'trigger', t.oid, t.xmin)
      FROM relation JOIN pg_trigger AS t ON tgrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'policy', p.oid, p.xmin)
      FROM relation JOIN pg_policy AS p ON polrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'rule', r.oid, r.xmin)
      FROM relation JOIN pg_rewrite AS r ON ev_class = relation.oid
    UNION ALL SELECT concat_ws(' ', 'inherits', inhrelid, inhparent, pg_inherits.xmin)
      FROM relation JOIN pg_inherits ON inhrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'sequence', seqrelid, pg_sequence.xmin)
      FROM relation JOIN pg_sequence ON seqrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'routine', f.oid, f.xmin)
      FROM object JOIN pg_proc AS f ON f.oid = objid WHERE classid = 'pg_proc'::regclass
    UNION ALL SELECT concat_ws(' ', 'type', t.oid, t.xmin)
      FROM object JOIN pg_type AS t ON t.oid = objid WHERE classid = 'pg_type'::regclass
    UNION ALL SELECT concat_ws(' ', 'label', e.oid, e.xmin)
      FROM object JOIN pg_enum AS e ON enumtypid = objid WHERE classid = 'pg_type'::regclass
    UNION ALL SELECT concat_ws(' ', 'domain constraint', c.oid, c.xmin)
      FROM object JOIN pg_constraint AS c ON contypid = objid WHERE classid = 'pg_type'::regclass
    UNION ALL SELECT concat_ws(' ', 'statistics', s.oid, s.xmin)
      FROM object JOIN pg_statistic_ext AS s ON s.oid = objid
     WHERE classid = 'pg_statistic_ext'::regclass
    UNION ALL SELECT concat_ws(' ', 'comment', classoid, objoid, objsubid, pg_description.xmin)
      FROM object JOIN pg_description ON objoid = objid AND classoid = classid
    UNION ALL SELECT concat_ws(' ', 'default privileges', a.oid, a.xmin)
      FROM object JOIN pg_default_acl AS a ON a.oid = objid WHERE classid = 'pg_default_acl'::regclass
)
SELECT md5(string_agg(told, E'\n' ORDER BY told COLLATE "C")) FROM line
$function$;

-- Takes the lock of a schema until the transaction ends; false where somebody else has it, or a connection
-- that a script opened is left.
CREATE OR REPLACE FUNCTION {ledger}.pool_lock(this_schema text, salt bigint) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
SELECT pg_try_advisory_xact_lock(hashtextextended('tenantmig.tenant:' || this_schema, salt))
   AND pg_try_advisory_xact_lock(hashtextextended('tenantmig.beside:' || this_schema, salt))
$function$;

-- Gives a finished schema to a tenant: renames it, registers the tenant, and writes the run and its journal.
-- One statement, and so one transaction: all of it or nothing. Returns the run; NULL where no member can be
-- given out. Waits for no other claim: the fleet's lock is shared, and what others hold is passed over.
CREATE OR REPLACE FUNCTION {ledger}.claim_member(
    this_tenant text, this_schema text, this_labels jsonb, is_kept boolean, wanted text, destination text,
    this_history text, version_table text, known text[], facts jsonb
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    salt bigint;
    member record;
    last text := '';
    versions text[];
    newest record;
    new_run bigint;
BEGIN
    SELECT lock_salt INTO STRICT salt FROM {ledger}.ledger_version WHERE version = 4;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('tenantmig.fleet', salt));
    -- as for any onboarding, whose history must know what the fleet is being rolled to
    SELECT kind, target INTO newest FROM {ledger}.run
     WHERE is_fleetwide AND target <> '' ORDER BY id DESC LIMIT 1;
    IF newest.kind = 'upgrade' AND newest.target NOT IN ('base', 'heads') AND left(newest.target, 1) <> '+'
        AND NOT string_to_array(newest.target, ',') <@ known
    THEN
        RAISE EXCEPTION 'tenantmig: the target of the fleet is not in this history';
    END IF;
    IF NOT {ledger}.pool_lock(this_schema, salt) THEN
        RAISE EXCEPTION 'tenantmig: the tenant is locked';
    END IF;
    IF EXISTS (SELECT FROM {ledger}.tenant
                WHERE lower(name) = lower(this_tenant) OR lower(schema) = lower(this_schema))
        OR EXISTS (SELECT FROM pg_namespace WHERE nspname = this_schema)
    THEN
        RAISE EXCEPTION 'tenantmig: the tenant or its schema exists';
    END IF;
    LOOP
        -- one at a time: a cursor would lock more than it hands out
        SELECT schema, stamp INTO member FROM {ledger}.pool_member
         WHERE left(schema, 15) = 'tenantmig_pool_' AND schema > last AND revision = wanted AND history = this_history
         ORDER BY schema LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        last := member.schema;
        CONTINUE WHEN NOT {ledger}.pool_lock(member.schema, salt);
        CONTINUE WHEN {ledger}.pool_stamp(member.schema) IS DISTINCT FROM member.stamp;
        EXECUTE format('SELECT array_agg(version_num::text ORDER BY version_num COLLATE "C") FROM ONLY %I.%I',
                       member.schema, version_table) INTO versions;
        EXIT WHEN versions = string_to_array(wanted, ',');
    END LOOP;
    INSERT INTO {ledger}.run (kind, target, state, host, driver_pid, tool_version, options, server,
                              started_at, finished_at)
    VALUES ('onboard', destination, 'complete', facts ->> 'host', (facts ->> 'driver_pid')::integer,
            facts ->> 'tool_version', facts -> 'options', facts ->> 'server', now(), clock_timestamp())
    RETURNING id INTO new_run;
    IF is_kept THEN
        INSERT INTO {ledger}.tenant (name, schema, state, labels)
        VALUES (this_tenant, this_schema, 'active', this_labels);
    END IF;
    DELETE FROM {ledger}.pool_member WHERE schema = member.schema;
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', member.schema, this_schema);
    INSERT INTO {ledger}.run_tenant (run, tenant, schema, outcome, to_revision, target, destination, engine,
                                     attempts, is_claimed, xid, duration_s)
    VALUES (new_run, this_tenant, this_schema, 'onboarded', wanted, wanted, destination, 'pool', 1, true,
            pg_current_xact_id()::text, extract(epoch FROM clock_timestamp() - statement_timestamp()));
    RETURN new_run;
END
$function$;

-- also where the owner's default privileges give it to nobody: they run with the caller's rights
GRANT EXECUTE ON FUNCTION {ledger}.pool_stamp, {ledger}.pool_lock, {ledger}.claim_member TO PUBLIC;
