-- A number for the relations of each tenant schema: cheap to read, and blind to what is inside them;
-- and how many rows there are, as statistics have it (pg_relation_size would open each table).
SELECT nspname,
       bit_xor(hash_record_extended(ROW (relname, relkind, relnatts, relchecks, relhasindex,
                                         relhastriggers, relrowsecurity), 0)),
       count(class.oid),
       sum(greatest(reltuples, pg_stat_get_live_tuples(class.oid)))
           FILTER (WHERE relkind IN ('r', 'm'))
  FROM pg_namespace AS namespace
  LEFT JOIN pg_depend ON refclassid = 'pg_namespace'::regclass AND refobjid = namespace.oid
                     AND deptype = 'n'
  LEFT JOIN pg_class AS class ON classid = 'pg_class'::regclass AND class.oid = objid
 WHERE nspname = ANY(%(schemas)s)
 GROUP BY nspname
