-- The session may have served another tenant, whose triggers and functions may have left something.
-- Its notices are wanted: of a name that is cut the server tells when it reads a text, before this SET.
SET SESSION AUTHORIZATION DEFAULT;
RESET ALL;
CLOSE ALL;
UNLISTEN *;
DEALLOCATE ALL;
DISCARD SEQUENCES;
DISCARD TEMP;
SET application_name = {application_name};
SET client_connection_check_interval = '1s';
SET client_min_messages = notice;
{limits};
SELECT pg_advisory_unlock_all(),
       set_config('search_path', quote_ident({schema}){path}, false),
       {ledger}.enter({run}, {name}, {schema})
