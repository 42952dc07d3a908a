CREATE TABLE {ledger}.ledger_version (
    version integer PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE {ledger}.tenant (
    name text PRIMARY KEY,
    schema text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('active', 'suspended', 'onboarding', 'offboarding')),
    labels jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE {ledger}.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    target text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'complete', 'incomplete', 'interrupted')),
    reason text,
    actor text NOT NULL DEFAULT session_user,
    host text NOT NULL,
    tool_version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);

-- One row a tenant and run: the intent (outcome is null) is written before the run begins, and the
-- revision that was reached in the transaction of the DDL that reached it.
CREATE TABLE {ledger}.run_tenant (
    run bigint NOT NULL REFERENCES {ledger}.run (id),
    tenant text NOT NULL,
    schema text NOT NULL,
    outcome text,
    from_revision text,
    to_revision text,
    target text,
    engine text,
    attempts integer NOT NULL DEFAULT 0,
    is_partial boolean NOT NULL DEFAULT false, -- a part of a revision is committed, not the rest
    wave integer NOT NULL DEFAULT 1,
    duration_s double precision NOT NULL DEFAULT 0,
    sqlstate text,
    error text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, tenant)
);

CREATE INDEX run_tenant_tenant ON {ledger}.run_tenant (tenant, run DESC);

INSERT INTO {ledger}.ledger_version (version) VALUES (1);
