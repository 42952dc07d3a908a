-- Casts from or to types of a schema: they lie in no schema, and no dump of a schema holds them.
SELECT pg_describe_object('pg_cast'::regclass, pg_cast.oid, 0)
  FROM pg_cast
 WHERE EXISTS (SELECT FROM pg_type
                WHERE oid IN (castsource, casttarget)
                  AND typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s))
   AND NOT EXISTS (SELECT FROM pg_depend -- comes with a range type
                    WHERE classid = 'pg_cast'::regclass AND objid = pg_cast.oid AND deptype = 'i')
