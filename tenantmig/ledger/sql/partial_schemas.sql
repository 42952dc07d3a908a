SELECT DISTINCT schema, revision FROM {ledger}.part
