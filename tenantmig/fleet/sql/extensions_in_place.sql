-- The schemas of users, and the extensions in them (NULL where there is none).
SELECT nspname, extname
  FROM pg_namespace LEFT JOIN pg_extension ON extnamespace = pg_namespace.oid
 WHERE nspname !~ '^(pg_|information_schema$)' AND nspname <> %(ledger)s
 ORDER BY pg_extension.oid
