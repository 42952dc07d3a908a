SELECT {ledger}.claim_member(
    %(tenant)s::text, %(tenant_schema)s::text, %(labels)s::jsonb, %(is_kept)s::boolean, %(wanted)s::text,
    %(destination)s::text, %(history)s::text, %(version_table)s::text, %(known)s::text[], %(facts)s::jsonb) AS run
