WITH registered AS (
    DELETE FROM {ledger}.tenant WHERE schema = %(schema)s
)
INSERT INTO {ledger}.pool_member (schema, revision, history, files, rows, stamp, run)
VALUES (%(schema)s, %(revision)s, %(history)s, %(files)s, %(rows)s,
        {ledger}.pool_stamp(%(schema)s), %(run)s)
