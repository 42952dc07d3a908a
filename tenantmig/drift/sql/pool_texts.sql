-- Texts about a schema and its objects that the catalog's reader does not render, and that hold its name.
WITH place AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
), object AS (
    SELECT classid, objid
      FROM place JOIN pg_depend ON refclassid = 'pg_namespace'::regclass AND refobjid = place.oid
    UNION
    SELECT 'pg_namespace'::regclass, oid FROM place
), part AS (
    SELECT classid, objid FROM object
    UNION
    SELECT depend.classid, depend.objid
      FROM object JOIN pg_depend AS depend ON depend.refclassid = object.classid
                                          AND depend.refobjid = object.objid
     WHERE depend.deptype IN ('a', 'i')
), told AS (
    SELECT 'the comment on ' || pg_describe_object(classoid, objoid, objsubid) AS thing, description AS text
      FROM part JOIN pg_description ON objoid = objid AND classoid = classid
    UNION ALL
    SELECT 'the security label of ' || pg_describe_object(classoid, objoid, objsubid), label
      FROM part JOIN pg_seclabel ON objoid = objid AND classoid = classid
)
SELECT thing FROM told WHERE strpos(lower(text), %(schema)s) > 0 ORDER BY 1 LIMIT 1
