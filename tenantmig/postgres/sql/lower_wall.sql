-- Nothing of the tenant's may be left to run as the connected role: no cursor that the COMMIT would
-- fill, no trigger or check that waits for it, nothing on the version table.
CLOSE ALL;
SELECT {wall}.run('SET CONSTRAINTS ALL IMMEDIATE');
CLOSE ALL;
DROP FUNCTION {wall}.run(pg_catalog.text);
DROP FUNCTION {wall}.rows(pg_catalog.text, pg_catalog.text, pg_catalog.text);
DROP SCHEMA {wall}
