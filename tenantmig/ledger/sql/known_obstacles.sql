-- Why revisions were not replayed, as the latest runs found out; the newest word on each. A run whose
-- options are not as we wrote them says nothing.
SELECT DISTINCT ON (revision) revision, reason
  FROM (SELECT id, to_jsonb(options) -> 'obstacles' AS found
          FROM {ledger}.run ORDER BY id DESC LIMIT 100) AS run,
       jsonb_each_text(CASE WHEN jsonb_typeof(found) = 'object' THEN found ELSE '{{}}' END)
       AS obstacle (revision, reason)
 WHERE reason IS NOT NULL
 ORDER BY revision, id DESC
