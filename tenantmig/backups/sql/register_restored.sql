-- A restored tenant is whole: what an onboarding or offboarding began with it is over. (A tenant
-- that stayed `onboarding` would be dropped by the next `onboard` of its name.)
WITH written AS (
    INSERT INTO {ledger}.tenant AS kept (name, schema, state, labels)
    VALUES (%(name)s, %(schema)s, %(state)s, %(labels)s)
    ON CONFLICT (name) DO UPDATE
       SET state = CASE WHEN kept.state IN ('onboarding', 'offboarding') THEN 'active'
                        ELSE kept.state END,
           updated_at = clock_timestamp()
     WHERE kept.schema = excluded.schema
    RETURNING name
)
SELECT count(*) FROM written
