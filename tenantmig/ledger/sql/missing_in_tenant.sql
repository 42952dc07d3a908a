-- What a role lacks in a tenant schema where it was denied something, a GRANT each. A message of the server
-- is searched for names, in whatever language it is; where it names no relation of the tenant's, the
-- owners of all count. Nobody is told to become a superuser.
WITH words AS (
    SELECT DISTINCT trim(both '"«»„“”''' from word) AS word
      FROM regexp_split_to_table(%(message)s::text, '\s+') AS word
), place AS (
    SELECT oid, nspowner FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::text
), relations AS (
    SELECT relowner, relname IN (SELECT word FROM words) AS is_named
      FROM pg_catalog.pg_class WHERE relnamespace = (SELECT oid FROM place) AND relkind <> 'i'
), owners AS (
    SELECT nspowner AS owner FROM place WHERE NOT EXISTS (SELECT FROM relations WHERE is_named)
    UNION
    SELECT relowner FROM relations WHERE is_named OR NOT EXISTS (SELECT FROM relations WHERE is_named)
)
SELECT 1 AS rank, format('GRANT %%s ON SCHEMA %%I TO %%I', privilege, nspname, current_user) AS statement
  FROM pg_catalog.pg_namespace AS named,
       LATERAL (SELECT CASE WHEN NOT has_schema_privilege(named.oid, 'USAGE') THEN 'USAGE'
                            WHEN NOT has_schema_privilege(named.oid, 'CREATE') THEN 'CREATE' END) AS lacking (privilege)
 WHERE privilege IS NOT NULL
   AND (nspname IN (SELECT word FROM words) OR nspname ~ '\s' AND strpos(%(message)s::text, nspname) > 0)
   AND NOT EXISTS (SELECT FROM relations WHERE is_named)
   AND NOT (%(needs_owner)s AND privilege = 'CREATE' AND nspname = %(schema)s::text)
UNION ALL
SELECT 1, format('GRANT %%s ON %%I.%%I TO %%I', array_to_string(privileges, ', '), %(schema)s::text, relname,
                 current_user)
  FROM pg_catalog.pg_class AS version_table,
       LATERAL (SELECT CASE WHEN NOT has_table_privilege(version_table.oid, 'SELECT') THEN ARRAY['SELECT']
                            ELSE ARRAY(SELECT privilege FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS privilege
                                        WHERE NOT has_table_privilege(version_table.oid, privilege)) END) AS lacking (privileges)
 WHERE relnamespace = (SELECT oid FROM place) AND relname = %(version_table)s::text
   AND relname IN (SELECT word FROM words) AND privileges <> '{{}}'
UNION ALL
SELECT 1, format('GRANT TEMP ON DATABASE %%I TO %%I', current_database(), current_user)
 WHERE current_database() IN (SELECT word FROM words)
   AND NOT has_database_privilege(current_database(), 'TEMP')
UNION ALL
SELECT 2, CASE
           WHEN rolsuper THEN ''
           WHEN NOT pg_has_role(owner, 'MEMBER') THEN format('GRANT %%I TO %%I', rolname, current_user)
           WHEN current_setting('server_version_num')::int >= 160000
           THEN format('GRANT %%I TO %%I WITH INHERIT TRUE', rolname, current_user)
           ELSE format('ALTER ROLE %%I INHERIT', current_user) END
  FROM owners JOIN pg_catalog.pg_roles ON pg_roles.oid = owner
 WHERE NOT pg_has_role(owner, 'USAGE')
 ORDER BY 1, 2
