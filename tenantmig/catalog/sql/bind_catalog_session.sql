-- For a session that reads the catalogs of tenant after tenant by one prepared statement: a plan is
-- made once, over indexes alone whatever the statistics say, and while the path is pg_catalog.
SELECT set_config('search_path', 'pg_catalog, pg_temp', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('jit', 'off', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false)
