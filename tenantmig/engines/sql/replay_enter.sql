-- The session may have served another tenant, whose triggers and functions may have left something.
-- A text is read before it sets anything: the last one decides whether the server tells of cut names.
SET SESSION AUTHORIZATION DEFAULT;
RESET ALL;
CLOSE ALL;
UNLISTEN *;
DEALLOCATE ALL;
DISCARD SEQUENCES;
DISCARD TEMP;
SELECT pg_catalog.pg_advisory_unlock_all(),
       pg_catalog.set_config('application_name', {application_name}, false),
       pg_catalog.set_config('client_connection_check_interval', '1s', false),
       pg_catalog.set_config('client_min_messages', 'notice', false),
       pg_catalog.set_config('row_security', {row_security}, false),
       {limits},
       pg_catalog.set_config('search_path', pg_catalog.quote_ident({schema}){path}, false),
       {ledger}.enter({run}, {name}, {schema})
