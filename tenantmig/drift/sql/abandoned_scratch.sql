-- Scratch schemas whose command has ended: nobody holds their lock (now this session does). A schema
-- of that name that does not say what it is stays.
WITH scratch AS MATERIALIZED (
    SELECT nspname FROM pg_namespace
     WHERE starts_with(nspname, %(prefix)s) AND obj_description(oid, 'pg_namespace') = %(mark)s
)
SELECT nspname FROM scratch
 WHERE pg_try_advisory_lock(hashtextextended('tenantmig.scratch:' || nspname, %(salt)s))
