-- What this role lacks to do these things with tables of a schema, a GRANT each. Privileges on single
-- columns count: whether they are enough only the statement itself can tell.
WITH wanted AS (
    SELECT relation, string_to_array(privileges, ',') AS privileges
      FROM unnest(%(relations)s::text[], %(privileges)s::text[]) AS need (relation, privileges)
)
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', nspname, current_user) AS statement
  FROM pg_catalog.pg_namespace
 WHERE nspname = %(schema)s::text AND NOT has_schema_privilege(oid, 'USAGE')
UNION ALL
SELECT format('GRANT %%s ON %%I.%%I TO %%I', array_to_string(lacking, ', '), %(schema)s::text, relname,
              current_user)
  FROM (SELECT relname, ARRAY(
            SELECT privilege FROM unnest(privileges) AS privilege
             WHERE CASE privilege WHEN 'DELETE' THEN NOT has_table_privilege(class.oid, privilege)
                   ELSE NOT has_any_column_privilege(class.oid, privilege) END) AS lacking
          FROM wanted JOIN pg_catalog.pg_class AS class ON relname = relation
         WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace
                                WHERE nspname = %(schema)s::text)) AS found
 WHERE lacking <> '{{}}'
