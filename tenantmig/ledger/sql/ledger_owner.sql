SELECT pg_get_userbyid(relowner)::text
  FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace
 WHERE nspname = %(schema)s::text AND relname = 'ledger_version'
