-- Who owns each of these schemas, and what keeps the connected role from acting as the owner.
SELECT n.nspname::text, r.rolname::text,
       CASE WHEN r.rolname = current_user THEN NULL
            WHEN r.rolsuper AND NOT me.rolsuper THEN 'it is a superuser'
            WHEN NOT pg_has_role(r.oid, CASE
                     WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER'
                     ELSE 'SET' END)
            THEN 'the connected role is not a member of it that may SET ROLE'
            WHEN NOT pg_has_role(r.oid, 'USAGE')
            THEN 'the connected role does not inherit its rights'
            WHEN NOT has_database_privilege(current_database(), 'CREATE')
            THEN 'the connected role may not create schemas in the database'
       END AS problem,
       current_user::text, current_database()::text
  FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
  JOIN pg_roles AS me ON me.rolname = current_user
 WHERE n.nspname = ANY (%(schemas)s::text[])
