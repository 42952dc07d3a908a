INSERT INTO {ledger}.part (schema, revision, direction, position, statement, is_done, row_count)
VALUES (%(schema)s, %(revision)s, %(direction)s, %(position)s, %(statement)s, %(is_done)s,
        %(row_count)s)
    ON CONFLICT (schema, position) DO UPDATE
   SET revision = excluded.revision, direction = excluded.direction,
       statement = excluded.statement, is_done = excluded.is_done, row_count = excluded.row_count
