SELECT max(version) AS version FROM {ledger}.ledger_version
