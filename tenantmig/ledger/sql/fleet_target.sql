SELECT kind, target
  FROM {ledger}.run
 WHERE is_fleetwide AND kind = ANY(%(kinds)s) AND target <> ''
 ORDER BY id DESC
 LIMIT 1
