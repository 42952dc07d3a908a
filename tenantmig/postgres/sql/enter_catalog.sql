SELECT path, pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', %s)
  FROM pg_catalog.current_setting('search_path') AS path
