-- The session may have served another tenant, whose triggers and functions may have left something.
-- A text is read before it sets anything: the last one decides whether the server tells of cut names.
SET SESSION AUTHORIZATION DEFAULT;
RESET ALL;
CLOSE ALL;
UNLISTEN *;
DEALLOCATE ALL;
DISCARD SEQUENCES;
DISCARD TEMP;
SELECT pg_advisory_unlock_all(),
       set_config('application_name', {application_name}, false),
       set_config('client_connection_check_interval', '1s', false),
       set_config('client_min_messages', 'notice', false),
       {limits},
       set_config('search_path', quote_ident({schema}){path}, false),
       {ledger}.enter({run}, {name}, {schema})
