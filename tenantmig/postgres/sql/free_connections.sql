SELECT least(
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL), -- a type is hidden from others
    (SELECT CASE WHEN datconnlimit >= 0 THEN datconnlimit
                 - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) END
       FROM pg_database WHERE datname = current_database()),
    (SELECT CASE WHEN rolconnlimit >= 0 THEN rolconnlimit
                 - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user) END
       FROM pg_roles WHERE rolname = current_user)
)
