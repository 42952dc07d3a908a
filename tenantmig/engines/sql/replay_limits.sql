pg_catalog.set_config('lock_timeout', {lock_timeout}, false),
pg_catalog.set_config('statement_timeout', {statement_timeout}, false),
pg_catalog.set_config('idle_in_transaction_session_timeout', {idle_timeout}, false)
