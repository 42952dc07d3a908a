-- The objects of one tenant schema, as lines of (kind, part_of, name, definition, state), for
-- catalog_mark.sql and catalog_lines.sql. The statement is parsed while the search path is
-- pg_catalog, so that nothing in a tenant's schema can stand in the place of a function or operator
-- used here; only then `place` puts the schema on the path, where PostgreSQL looks when it renders
-- names: those in it come unqualified. Found by indexes alone (pg_depend knows what is in a schema).
-- Not told: the order of columns, tablespaces, the positions of sequences, what extensions own, and
-- options that PostgreSQL does not document (`storage_parameters`): the server keeps its own there.
WITH place AS MATERIALIZED (
    SELECT oid, quote_ident(nspname) AS quoted, nspowner, nspacl,
           set_config('search_path', 'pg_catalog, ' || quote_ident(nspname) || ', pg_temp', true)
      FROM pg_namespace
     WHERE nspname = %(schema)s::text
), object AS MATERIALIZED (
    SELECT depend.classid, depend.objid
      FROM place
      JOIN pg_depend AS depend ON refclassid = 'pg_namespace'::regclass AND refobjid = place.oid
                              AND deptype = 'n'
     WHERE NOT EXISTS (SELECT FROM pg_depend AS member
                        WHERE member.classid = depend.classid AND member.objid = depend.objid
                          AND (member.deptype = 'e' -- an extension's, or made along with a type
                               OR member.deptype = 'i' AND member.classid <> 'pg_class'::regclass))
), relation AS MATERIALIZED (
    SELECT class.*, quote_ident(relname) AS called
      FROM object JOIN pg_class AS class ON class.oid = objid
     WHERE classid = 'pg_class'::regclass
       AND NOT (relname = %(version_table)s::text AND relkind IN ('r', 'p'))
), stored AS MATERIALIZED (
    SELECT * FROM relation WHERE relkind IN ('r', 'p', 'f')
), attribute AS MATERIALIZED (
    SELECT stored.called, quote_ident(attname) AS attribute, attrelid, attnum, atttypid, atttypmod,
           attnotnull, attidentity, attgenerated, attcollation, typcollation, attislocal,
           attfdwoptions, attacl, relowner, pg_get_expr(adbin, adrelid, true) AS expression,
           concat_ws(', ',
                     CASE WHEN attstorage <> typstorage
                          THEN 'STORAGE ' || CASE attstorage WHEN 'p' THEN 'PLAIN'
                                                             WHEN 'e' THEN 'EXTERNAL'
                                                             WHEN 'm' THEN 'MAIN'
                                                             ELSE 'EXTENDED' END END,
                     CASE attcompression WHEN 'p' THEN 'COMPRESSION pglz'
                                         WHEN 'l' THEN 'COMPRESSION lz4' END,
                     'STATISTICS ' || nullif(attstattarget, -1),
                     (SELECT '(' || string_agg(option, ', ' ORDER BY option COLLATE "C") || ')'
                        FROM unnest(attoptions) AS option
                       WHERE split_part(option, '=', 1) = ANY(%(of_columns)s::text[]))) AS settings
      FROM stored
      JOIN pg_attribute ON attrelid = stored.oid AND attnum > 0 AND NOT attisdropped
      JOIN pg_type AS type ON type.oid = atttypid
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
), type AS MATERIALIZED (
    SELECT type.*, quote_ident(typname) AS called
      FROM object JOIN pg_type AS type ON type.oid = objid
     WHERE classid = 'pg_type'::regclass
), routine AS MATERIALIZED (
    SELECT pg_proc.*, format('%%I(%%s)', proname, oidvectortypes(proargtypes)) AS called
      FROM object JOIN pg_proc ON pg_proc.oid = objid
     WHERE classid = 'pg_proc'::regclass
), owned (part_of, label, owner, acl, attribute) AS (
    SELECT '', 'SCHEMA ' || quoted, nspowner, coalesce(nspacl, acldefault('n', nspowner)), NULL
      FROM place
    UNION ALL
    SELECT called, CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || called, relowner,
           coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)), NULL
      FROM relation
    UNION ALL
    SELECT called, 'TABLE ' || called, relowner, attacl, attribute FROM attribute WHERE attacl IS NOT NULL
    UNION ALL
    SELECT called, 'TYPE ' || called, typowner, coalesce(typacl, acldefault('T', typowner)), NULL FROM type
    UNION ALL
    SELECT called, 'ROUTINE ' || called, proowner, coalesce(proacl, acldefault('f', proowner)), NULL
      FROM routine
), line (kind, part_of, name, definition, state) AS (
    -- tables
    SELECT 'table', '', called,
           concat_ws(' ',
                     CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
                     CASE relkind WHEN 'f' THEN 'FOREIGN' END,
                     'TABLE',
                     CASE WHEN relispartition
                          THEN 'PARTITION OF ' || parents || ' ' || pg_get_expr(relpartbound, oid, true)
                          ELSE 'INHERITS (' || parents || ')' END,
                     CASE relkind WHEN 'p' THEN 'PARTITION BY ' || pg_get_partkeydef(oid) END,
                     'OF ' || nullif(reloftype, 0)::regtype,
                     'USING ' || (SELECT quote_ident(amname) FROM pg_am
                                   WHERE pg_am.oid = relam AND amname <> 'heap'),
                     (SELECT concat('SERVER ', quote_ident(srvname), ' OPTIONS ', ftoptions)
                        FROM pg_foreign_table JOIN pg_foreign_server AS server ON server.oid = ftserver
                       WHERE ftrelid = stored.oid)),
           ''
      FROM stored
     CROSS JOIN LATERAL (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) AS parents
                           FROM pg_inherits WHERE inhrelid = stored.oid) AS inherits
    UNION ALL
    SELECT 'row security', called, '',
           concat_ws(', ', CASE WHEN relrowsecurity THEN 'ENABLE' END,
                     CASE WHEN relforcerowsecurity THEN 'FORCE' END),
           ''
      FROM stored WHERE relrowsecurity OR relforcerowsecurity
    UNION ALL
    SELECT 'replica identity', called, '',
           CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                ELSE 'USING INDEX ' || (SELECT indexrelid::regclass FROM pg_index
                                         WHERE indrelid = stored.oid AND indisreplident) END,
           ''
      FROM stored WHERE relreplident <> 'd'
    UNION ALL
    SELECT 'storage parameters', called, '', options, ''
      FROM relation
     CROSS JOIN LATERAL (
           SELECT string_agg(option, ', ' ORDER BY option COLLATE "C") AS options
             FROM (SELECT option, option AS bare FROM unnest(relation.reloptions) AS option
                   UNION ALL
                   SELECT 'toast.' || option, option
                     FROM pg_class AS toast, unnest(toast.reloptions) AS option
                    WHERE toast.oid = relation.reltoastrelid) AS option
            WHERE split_part(bare, '=', 1) = ANY(%(of_relations)s::text[])
               OR relam >= 16384 AND split_part(bare, '=', 1) <> ALL(%(internal)s::text[])
     ) AS found
     WHERE options IS NOT NULL
    -- columns
    UNION ALL
    SELECT 'column', called, attribute,
           concat_ws(' ',
                     format_type(atttypid, atttypmod),
                     'COLLATE ' || nullif(attcollation, typcollation)::regcollation,
                     CASE attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                                      WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
                     CASE WHEN attgenerated <> '' THEN
                          'GENERATED ALWAYS AS (' || expression || ')'
                          || CASE attgenerated WHEN 's' THEN ' STORED' ELSE ' VIRTUAL' END END,
                     'OPTIONS ' || attfdwoptions::text),
           CASE WHEN NOT attislocal THEN 'inherited' ELSE '' END
      FROM attribute
    UNION ALL
    SELECT 'default', called, attribute, expression, ''
      FROM attribute WHERE expression IS NOT NULL AND attgenerated = ''
    UNION ALL
    SELECT 'not null', called, attribute, 'NOT NULL', '' FROM attribute WHERE attnotnull
    UNION ALL
    SELECT 'column settings', called, attribute, settings, '' FROM attribute WHERE settings <> ''
    -- constraints; those of NOT NULL are told with their columns
    UNION ALL
    SELECT 'constraint', called, quote_ident(conname), pg_get_constraintdef(con.oid, true),
           concat_ws(', ',
                     CASE WHEN NOT conislocal THEN 'inherited' END,
                     CASE WHEN NOT (indisvalid AND indisready AND indislive) THEN 'INVALID index' END,
                     (SELECT string_agg(option, ', ' ORDER BY option COLLATE "C")
                        FROM unnest(index.reloptions) AS option
                       WHERE split_part(option, '=', 1) = ANY(%(of_relations)s::text[])))
      FROM stored
      JOIN pg_constraint AS con ON conrelid = stored.oid AND conparentid = 0
                               AND (contype NOT IN ('n', 't') OR contype = 'n' AND NOT convalidated)
      LEFT JOIN pg_index ON indexrelid = conindid AND contype IN ('p', 'u', 'x')
      LEFT JOIN pg_class AS index ON index.oid = indexrelid
    -- indexes that are no constraint's
    UNION ALL
    SELECT 'index', called, quote_ident(index.relname), pg_get_indexdef(indexrelid, 0, true),
           concat_ws(', ',
                     CASE WHEN NOT (indisvalid AND indisready AND indislive) THEN 'INVALID' END,
                     CASE WHEN indisclustered THEN 'CLUSTER' END,
                     (SELECT 'attached to ' || inhparent::regclass FROM pg_inherits
                       WHERE inhrelid = indexrelid))
      FROM relation
      JOIN pg_index ON indrelid = relation.oid
      JOIN pg_class AS index ON index.oid = indexrelid
     WHERE relation.relhasindex
       AND NOT EXISTS (SELECT FROM pg_constraint
                        WHERE conrelid = relation.oid AND conindid = indexrelid
                          AND contype IN ('p', 'u', 'x'))
    -- views, and what hangs on tables and views
    UNION ALL
    SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, '', called,
           rtrim(pg_get_viewdef(oid, true), ';'),
           CASE WHEN relispopulated THEN '' ELSE 'WITH NO DATA' END
      FROM relation WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'trigger', called, quote_ident(tgname), pg_get_triggerdef(trigger.oid, true),
           CASE tgenabled WHEN 'O' THEN '' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                          ELSE 'ENABLE ALWAYS' END
      FROM relation
      JOIN pg_trigger AS trigger ON tgrelid = relation.oid AND NOT tgisinternal AND tgparentid = 0
     WHERE relhastriggers
    UNION ALL
    SELECT 'rule', called, quote_ident(rulename), rtrim(pg_get_ruledef(rule.oid, true), ';'),
           CASE ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                           ELSE 'ENABLE ALWAYS' END
      FROM relation
      JOIN pg_rewrite AS rule ON ev_class = relation.oid AND rulename <> '_RETURN'
     WHERE relhasrules
    UNION ALL
    SELECT 'policy', called, quote_ident(polname),
           concat_ws(' ',
                     'CREATE POLICY', quote_ident(polname), 'ON', called,
                     CASE WHEN NOT polpermissive THEN 'AS RESTRICTIVE' END,
                     'FOR', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                                        WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                     'TO', (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
                                                        ELSE role::regrole::text END,
                                              ', ' ORDER BY role::regrole::text COLLATE "C")
                              FROM unnest(polroles) AS role),
                     'USING (' || pg_get_expr(polqual, polrelid, true) || ')',
                     'WITH CHECK (' || pg_get_expr(polwithcheck, polrelid, true) || ')'),
           ''
      FROM stored JOIN pg_policy ON polrelid = stored.oid
    UNION ALL
    SELECT 'comment', called, coalesce(quote_ident(attname), ''), description, ''
      FROM relation
      JOIN pg_description ON objoid = relation.oid AND classoid = 'pg_class'::regclass
      LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
    -- sequences
    UNION ALL
    SELECT 'sequence', '', called,
           concat_ws(' ',
                     'AS', format_type(seqtypid, NULL), 'INCREMENT BY', seqincrement,
                     'MINVALUE', seqmin, 'MAXVALUE', seqmax, 'START WITH', seqstart,
                     'CACHE', seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END,
                     'OWNED BY ' || owner),
           CASE deptype WHEN 'i' THEN 'identity' ELSE '' END
      FROM relation
      JOIN pg_sequence ON seqrelid = relation.oid
      LEFT JOIN LATERAL (
           SELECT deptype, refobjid::regclass || '.' || quote_ident(attname) AS owner
             FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
            WHERE classid = 'pg_class'::regclass AND objid = relation.oid
              AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')) AS owned ON true
     WHERE relkind = 'S'
    -- types
    UNION ALL
    SELECT 'enum', '', called,
           (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
              FROM pg_enum WHERE enumtypid = type.oid),
           ''
      FROM type WHERE typtype = 'e'
    UNION ALL
    SELECT 'domain', '', called,
           concat_ws(' ',
                     'AS', format_type(typbasetype, typtypmod),
                     (SELECT 'COLLATE ' || nullif(type.typcollation, base.typcollation)::regcollation
                        FROM pg_type AS base WHERE base.oid = type.typbasetype),
                     'DEFAULT ' || pg_get_expr(typdefaultbin, 0, true),
                     CASE WHEN typnotnull THEN 'NOT NULL' END,
                     (SELECT string_agg(format('CONSTRAINT %%I %%s', conname,
                                               pg_get_constraintdef(pg_constraint.oid, true)),
                                        ' ' ORDER BY conname)
                        FROM pg_constraint WHERE contypid = type.oid AND contype = 'c')),
           ''
      FROM type WHERE typtype = 'd'
    UNION ALL
    SELECT 'composite type', '', called,
           (SELECT string_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
                                        'COLLATE ' || nullif(attcollation, part.typcollation)::regcollation),
                              ', ' ORDER BY attnum)
              FROM pg_attribute JOIN pg_type AS part ON part.oid = atttypid
             WHERE attrelid = type.typrelid AND attnum > 0 AND NOT attisdropped),
           ''
      FROM type WHERE typtype = 'c'
    UNION ALL
    SELECT 'range type', '', called,
           concat_ws(', ',
                     'SUBTYPE = ' || format_type(rngsubtype, NULL),
                     'COLLATION = ' || nullif(rngcollation, 0)::regcollation,
                     'CANONICAL = ' || nullif(rngcanonical::oid, 0)::regprocedure,
                     'SUBTYPE_DIFF = ' || nullif(rngsubdiff::oid, 0)::regprocedure),
           ''
      FROM type JOIN pg_range ON rngtypid = type.oid
    -- functions
    UNION ALL
    SELECT CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, '', called,
           rtrim(pg_get_functiondef(oid), E'\n'), ''
      FROM routine WHERE prokind <> 'a'
    UNION ALL
    SELECT 'aggregate', '', called,
           concat_ws(', ',
                     aggtransfn::regprocedure, aggtranstype::regtype,
                     'FINALFUNC = ' || nullif(aggfinalfn::oid, 0)::regprocedure,
                     'COMBINEFUNC = ' || nullif(aggcombinefn::oid, 0)::regprocedure,
                     'INITCOND = ' || agginitval, 'KIND = ' || aggkind::text,
                     'SORTOP = ' || nullif(aggsortop, 0)::regoperator),
           ''
      FROM routine JOIN pg_aggregate ON aggfnoid = routine.oid
    UNION ALL
    SELECT 'statistics', '', quote_ident(stxname), pg_get_statisticsobjdef(objid),
           coalesce('STATISTICS ' || nullif(stxstattarget, -1), '')
      FROM object JOIN pg_statistic_ext ON pg_statistic_ext.oid = objid
     WHERE classid = 'pg_statistic_ext'::regclass
    -- all else (operators, collations, text search): that it exists
    UNION ALL
    SELECT other.type, '', other.identity, '', ''
      FROM object
     CROSS JOIN LATERAL pg_identify_object(classid, objid, 0) AS other
     WHERE classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_statistic_ext'::regclass,
                           'pg_default_acl'::regclass)
       AND NOT (classid = 'pg_type'::regclass
                AND EXISTS (SELECT FROM type WHERE type.oid = objid
                                               AND typtype IN ('e', 'd', 'c', 'r')))
    -- owners and grants
    UNION ALL
    SELECT 'owner', part_of, '', format('ALTER %%s OWNER TO %%s', label, owner::regrole), ''
      FROM owned
     WHERE %(privileges)s::boolean AND attribute IS NULL
    UNION ALL
    SELECT 'grant', part_of, grantee || clause,
           format('GRANT %%s ON %%s TO %%s', string_agg(privilege, ', ' ORDER BY privilege COLLATE "C"),
                  label, grantee || clause),
           ''
      FROM owned
     CROSS JOIN LATERAL (
           SELECT CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END AS grantee,
                  CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS clause,
                  privilege_type || coalesce(' (' || attribute || ')', '') AS privilege
             FROM aclexplode(acl) AS given WHERE given.grantee <> owner) AS granted
     WHERE %(privileges)s::boolean
     GROUP BY part_of, label, grantee, clause
    UNION ALL
    SELECT 'default privileges', '', concat(defaclrole::regrole, ' ', defaclobjtype), defaclacl::text, ''
      FROM place JOIN pg_default_acl ON defaclnamespace = place.oid
     WHERE %(privileges)s::boolean
)
