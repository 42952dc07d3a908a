-- Schemas whose birth for the pool a run of ours intended, and that are in no pool: it was cut off.
SELECT nspname FROM pg_namespace
 WHERE left(nspname, length(%(prefix)s)) = %(prefix)s
   AND nspname IN (SELECT schema FROM {ledger}.run_tenant WHERE left(schema, length(%(prefix)s)) = %(prefix)s)
   AND nspname NOT IN (SELECT schema FROM {ledger}.pool_member)
UNION
SELECT schema FROM {ledger}.tenant
 WHERE left(schema, length(%(prefix)s)) = %(prefix)s
 ORDER BY 1
