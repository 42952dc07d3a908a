SELECT lock_salt FROM {ledger}.ledger_version WHERE version = 4
