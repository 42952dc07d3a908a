SELECT set_config('application_name', %(application_name)s, false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, false),
       set_config('client_connection_check_interval', '1s', false),
       set_config('client_min_messages', 'notice', false),
       set_config(
           'search_path',
           (SELECT string_agg(quote_ident(name), ', ' ORDER BY position)
              FROM unnest(%(path)s::text[]) WITH ORDINALITY AS path (name, position)),
           false)
