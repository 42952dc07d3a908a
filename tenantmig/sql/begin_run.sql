INSERT INTO {ledger}.run (kind, target, state, host, tool_version)
VALUES (%(kind)s, %(target)s, 'running', %(host)s, %(tool_version)s)
RETURNING id, started_at
