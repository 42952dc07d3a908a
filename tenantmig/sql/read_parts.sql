SELECT revision, direction, position, statement, is_done
  FROM {ledger}.part
 WHERE schema = %(schema)s
 ORDER BY position
