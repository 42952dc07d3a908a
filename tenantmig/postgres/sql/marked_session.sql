-- True if a setting of no extension is known to the session by now: RESET and DISCARD keep it, empty.
SELECT EXISTS (SELECT FROM pg_catalog.unnest(%(named)s::text[]) AS name
                WHERE pg_catalog.current_setting(name, true) IS NOT NULL
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting,
                                       pg_catalog.unnest(setconfig) AS set
                                   WHERE pg_catalog.lower(pg_catalog.split_part(set, '=', 1))
                                         = name))
