-- Scratch databases whose command has ended: nobody holds their lock (now this session does).
WITH scratch AS MATERIALIZED (
    SELECT datname FROM pg_database
     WHERE starts_with(datname, %(prefix)s) AND shobj_description(oid, 'pg_database') = %(mark)s
)
SELECT datname FROM scratch
 WHERE pg_try_advisory_lock(hashtextextended('tenantmig.scratch:' || datname, %(salt)s))
