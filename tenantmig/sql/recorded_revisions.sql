-- Those of the revisions to which a run brought a tenant: what its journal says, not what a version
-- table held that a run only read. A stamp moves from anywhere, so only a stamp that was done counts.
SELECT DISTINCT revision
  FROM {ledger}.run_tenant AS told
  JOIN {ledger}.run ON run.id = told.run
 CROSS JOIN unnest(string_to_array(told.to_revision, ',')) AS revision
 WHERE revision = ANY(%(revisions)s::text[]) AND told.is_claimed
   AND (told.xid IS NOT NULL OR run.kind <> 'stamp')
