-- The session may have served another tenant, whose triggers and functions may have left something.
-- A text is read before its SETs run: the last one decides whether the server tells of cut names.
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
