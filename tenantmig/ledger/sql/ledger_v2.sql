-- A run can be resumed by another driver (epoch fences the older one out) and undone by a run.
ALTER TABLE {ledger}.run
    ADD COLUMN epoch integer NOT NULL DEFAULT 1,
    ADD COLUMN driver_pid integer,
    ADD COLUMN direction text,                            -- what a rollback does: upgrade, downgrade, stamp
    ADD COLUMN undoes bigint REFERENCES {ledger}.run (id),
    ADD COLUMN is_fleetwide boolean NOT NULL DEFAULT false,
    ADD COLUMN options jsonb NOT NULL DEFAULT '{{}}',
    ADD COLUMN server text;                               -- system identifier and timeline

ALTER TABLE {ledger}.run_tenant
    ADD COLUMN destination text,
    ADD COLUMN backup text,
    ADD COLUMN is_claimed boolean NOT NULL DEFAULT false, -- an attempt had the tenant's lock
    ADD COLUMN xid text,      -- the transaction that wrote the revision reached
    ADD COLUMN lost_xid text, -- one whose COMMIT may or may not have arrived
    DROP COLUMN is_partial;

-- Written when a tenant's row is itself held by the transaction that is in doubt.
CREATE TABLE {ledger}.doubt (
    run bigint NOT NULL,
    tenant text NOT NULL,
    sqlstate text,
    error text,
    lost_xid text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, tenant)
);

-- What a revision committed in a tenant schema before it was recorded as a whole: the transactional
-- part before an autocommit_block (statement is null) and each statement in one. A row that is not
-- done is an intent. The rows go in the transaction that records the revision.
CREATE TABLE {ledger}.part (
    schema text NOT NULL,
    revision text NOT NULL,
    direction text NOT NULL,
    position integer NOT NULL,
    statement text,
    is_done boolean NOT NULL,
    row_count integer, -- null: its rows were handed to the script
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schema, position)
);

INSERT INTO {ledger}.ledger_version (version) VALUES (2);
