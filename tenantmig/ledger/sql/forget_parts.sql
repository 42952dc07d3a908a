DELETE FROM {ledger}.part WHERE schema = %(schema)s AND position >= %(since)s
