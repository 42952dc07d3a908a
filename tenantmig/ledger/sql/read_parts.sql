SELECT revision, direction, position, statement, is_done, row_count
  FROM {ledger}.part
 WHERE schema = %(schema)s
 ORDER BY position
