-- The roles that matter to a restore: who is connected, who owns the tenant schema and what is in
-- it, and which of the named roles exist, are superusers, or can be taken on.
WITH tenant AS (
    SELECT oid, nspowner FROM pg_namespace WHERE nspname = %(schema)s
), owner AS (
    SELECT nspowner AS oid FROM tenant
    UNION SELECT relowner FROM pg_class JOIN tenant ON relnamespace = tenant.oid
    UNION SELECT proowner FROM pg_proc JOIN tenant ON pronamespace = tenant.oid
    UNION SELECT typowner FROM pg_type JOIN tenant ON typnamespace = tenant.oid
)
SELECT session_user::text,
       NULL,
       ARRAY(SELECT pg_get_userbyid(oid)::text FROM owner),
       ARRAY(SELECT rolname::text FROM pg_roles
              WHERE rolname = ANY (%(named)s) AND pg_has_role(session_user, oid, 'MEMBER')),
       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%(named)s)),
       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%(named)s) AND rolsuper),
       (SELECT ARRAY[tenant.oid::text, pg_namespace.xmin::text] FROM tenant JOIN pg_namespace USING (oid))
