-- True if a setting of no extension is known to the session by now: RESET and DISCARD keep it, empty.
SELECT EXISTS (SELECT FROM unnest(%(named)s::text[]) AS name
                WHERE current_setting(name, true) IS NOT NULL
                  AND NOT EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) AS set
                                   WHERE lower(split_part(set, '=', 1)) = name))
