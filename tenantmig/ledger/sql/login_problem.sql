-- Why a new connection of this role to this database would be refused, as far as one can ask.
SELECT CASE
    WHEN NOT rolcanlogin THEN format('the role "%s" may not log in any more', rolname)
    WHEN rolvaliduntil < now() THEN format('the password of the role "%s" has expired', rolname)
    WHEN NOT has_database_privilege(datname, 'CONNECT')
        THEN format('the role "%s" may not connect to the database any more', rolname)
    WHEN NOT datallowconn THEN 'the database no longer accepts connections'
    END AS problem
  FROM pg_roles, pg_database
 WHERE rolname = session_user AND datname = current_database()
