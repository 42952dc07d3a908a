INSERT INTO {ledger}.run_tenant
    (run, tenant, schema, from_revision, to_revision, target, destination, outcome, error)
SELECT %(run)s, tenant, schema, source,
       CASE WHEN outcome IS NULL THEN source ELSE target END, target, destination, outcome, error
  FROM unnest(%(tenants)s::text[], %(schemas)s::text[], %(sources)s::text[], %(targets)s::text[],
              %(destinations)s::text[], %(outcomes)s::text[], %(errors)s::text[])
       AS intent (tenant, schema, source, target, destination, outcome, error)
    ON CONFLICT (run, tenant) DO NOTHING
