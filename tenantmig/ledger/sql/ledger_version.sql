SELECT version::text AS version FROM {ledger}.ledger_version
