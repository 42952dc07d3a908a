-- Why revisions were not replayed, as the latest runs found out; the newest word on each.
SELECT DISTINCT ON (revision) revision, reason
  FROM (SELECT id, options -> 'obstacles' AS found FROM {ledger}.run ORDER BY id DESC LIMIT 100) AS run,
       jsonb_each_text(coalesce(nullif(found, 'null'), '{{}}')) AS obstacle (revision, reason)
 ORDER BY revision, id DESC
