-- How many locks the server has room for, and how many the largest of some tenants can take: one for
-- each relation, index and TOAST table. Found by index, whatever the size of the fleet.
SELECT current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int),
       (SELECT coalesce(max(locks), 0)
          FROM (SELECT sum(1 + indexes + CASE WHEN reltoastrelid <> 0 THEN 2 ELSE 0 END) AS locks
                  FROM pg_namespace AS namespace
                  JOIN pg_depend ON refclassid = 'pg_namespace'::regclass AND refobjid = namespace.oid
                                AND classid = 'pg_class'::regclass AND deptype = 'n'
                  JOIN pg_class AS class ON class.oid = objid
                 CROSS JOIN LATERAL (SELECT count(*) AS indexes FROM pg_index WHERE indrelid = class.oid) AS i
                 WHERE nspname = ANY(%(schemas)s)
                 GROUP BY namespace.oid) AS tenant)
