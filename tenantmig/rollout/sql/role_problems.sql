-- Which of these roles the connected one cannot make the owner of a new schema, and act as.
SELECT wanted.name,
       CASE WHEN r.oid IS NULL THEN 'there is no such role'
            WHEN r.rolname = current_user THEN NULL
            WHEN r.rolsuper AND NOT me.rolsuper THEN 'it is a superuser'
            WHEN NOT pg_has_role(r.oid, CASE
                     WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER'
                     ELSE 'SET' END)
            THEN 'the connected role is not a member of it that may SET ROLE'
            WHEN NOT pg_has_role(r.oid, 'USAGE')
            THEN 'the connected role does not inherit its rights'
       END AS problem,
       current_user::text
  FROM unnest(%(roles)s::text[]) AS wanted (name) LEFT JOIN pg_roles AS r ON r.rolname = wanted.name
  JOIN pg_roles AS me ON me.rolname = current_user
 ORDER BY 1
