-- What gives this role the privileges of the owner of a schema, where it lacks them; nobody is told to
-- become a superuser.
SELECT CASE
           WHEN rolsuper THEN ''
           WHEN NOT pg_has_role(owner.oid, 'MEMBER') THEN format('GRANT %%I TO %%I', rolname, current_user)
           WHEN current_setting('server_version_num')::int >= 160000
           THEN format('GRANT %%I TO %%I WITH INHERIT TRUE', rolname, current_user)
           ELSE format('ALTER ROLE %%I INHERIT', current_user) END AS statement,
       rolname::text AS owner
  FROM pg_catalog.pg_namespace JOIN pg_catalog.pg_roles AS owner ON owner.oid = nspowner
 WHERE nspname = %(schema)s::text AND NOT pg_has_role(owner.oid, 'USAGE')
