-- The members of the pool, each with what was found out about it now: that it exists, and its stamp.
SELECT member.schema, revision, history, files::text AS files, rows::text AS rows, run, created_at,
       EXISTS (SELECT FROM pg_namespace WHERE nspname = member.schema) AS is_there,
       {ledger}.pool_stamp(member.schema) IS NOT DISTINCT FROM stamp AS is_untouched
  FROM {ledger}.pool_member AS member
 ORDER BY member.schema
