SELECT kind, target
  FROM {ledger}.run
 WHERE is_fleetwide
 ORDER BY id DESC
 LIMIT 1
