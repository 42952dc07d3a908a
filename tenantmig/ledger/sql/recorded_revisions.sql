-- Those of the revisions to which a run brought a tenant: what a journal says that was written with the
-- revision (it has a transaction), and not what a version table held when a run only read it.
SELECT DISTINCT revision
  FROM {ledger}.run_tenant AS told
 CROSS JOIN unnest(string_to_array(told.to_revision, ',')) AS revision
 WHERE revision = ANY(%(revisions)s::text[]) AND told.xid IS NOT NULL
