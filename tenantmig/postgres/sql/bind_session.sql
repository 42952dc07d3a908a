SELECT pg_catalog.set_config('application_name', %(application_name)s, false),
       pg_catalog.set_config('lock_timeout', %(lock_timeout)s, false),
       pg_catalog.set_config('statement_timeout', %(statement_timeout)s, false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, false),
       pg_catalog.set_config('client_connection_check_interval', '1s', false),
       pg_catalog.set_config('client_min_messages', 'notice', false),
       pg_catalog.set_config('row_security', %(row_security)s, false),
       pg_catalog.set_config(
           'search_path',
           (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY position)
              FROM pg_catalog.unnest(%(path)s::pg_catalog.text[]) WITH ORDINALITY
                   AS path (name, position)),
           false)
