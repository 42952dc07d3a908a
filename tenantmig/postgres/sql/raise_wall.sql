-- Two functions that run a text as the role that owns the schema; in them the server refuses SET ROLE
-- and RESET ROLE. They lie in a schema that this role may not enter, and end with the transaction.
CREATE SCHEMA {wall};
CREATE FUNCTION {wall}.run(pg_catalog.text) RETURNS pg_catalog.int8
    LANGUAGE plpgsql SECURITY DEFINER AS {tag}
DECLARE
    changed pg_catalog.int8;
BEGIN
    EXECUTE $1;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END {tag};
-- The cursor of an EXECUTE or of a RETURNING is filled at its first move, and only read afterwards.
CREATE FUNCTION {wall}.rows(pg_catalog.text, pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.void
    LANGUAGE plpgsql SECURITY DEFINER AS {tag}
DECLARE
    found pg_catalog.refcursor := $3;
BEGIN
    IF $1 IS NOT NULL THEN
        EXECUTE $1;
    END IF;
    OPEN found FOR EXECUTE $2;
    MOVE FORWARD 0 FROM found;
END {tag};
DO {tag}
DECLARE
    owner pg_catalog.oid;
    is_super pg_catalog.bool;
BEGIN
    SELECT r.oid, r.rolsuper INTO owner, is_super
      FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r
        ON r.oid OPERATOR(pg_catalog.=) n.nspowner
     WHERE n.nspname OPERATOR(pg_catalog.=) {schema}::pg_catalog.name;
    IF pg_catalog.pg_get_userbyid(owner) OPERATOR(pg_catalog.=) CURRENT_USER THEN
        RETURN;
    END IF;
    EXECUTE pg_catalog.replace(pg_catalog.replace(
        'GRANT CREATE ON SCHEMA {wall} TO !;'
        ' GRANT EXECUTE ON FUNCTION {wall}.run(pg_catalog.text),'
        ' {wall}.rows(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO ?;'
        ' ALTER FUNCTION {wall}.run(pg_catalog.text) OWNER TO !;'
        ' ALTER FUNCTION {wall}.rows(pg_catalog.text, pg_catalog.text, pg_catalog.text) OWNER TO !;'
        ' REVOKE ALL ON SCHEMA {wall} FROM !, PUBLIC',
        '?', 'CURRENT_USER'), '!', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(owner)));
    IF NOT is_super AND pg_catalog.has_schema_privilege(owner, '{wall}', 'USAGE') THEN
        RAISE EXCEPTION 'tenantmig: the role that owns the schema may enter every schema of %',
            CURRENT_USER;
    END IF;
END {tag}
