-- Rows that a transaction wrote outside a schema into catalogs of which no lock tells: `top` is its
-- first transaction id, and rows of others that began later are among them (they see their own, too).
-- Only the catalogs in `written` are looked through.
WITH inside AS MATERIALIZED (
    SELECT oid FROM pg_namespace
     WHERE oid = %(namespace)s OR nspname = 'pg_toast' OR nspname ~ '^pg_(toast_)?temp_'
),
held AS MATERIALIZED (
    SELECT relation FROM pg_locks
     WHERE pid = %(pid)s AND locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock')
),
found (class, object, part, row) AS (
    SELECT 'pg_proc'::regclass::oid, oid, 0, xmin::text FROM pg_proc
     WHERE 'pg_proc' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND pronamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_type'::regclass::oid, oid, 0, xmin::text FROM pg_type
     WHERE 'pg_type' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND typnamespace NOT IN (TABLE inside) AND typcategory <> 'A' -- comes with its element type
    UNION ALL
    SELECT 'pg_namespace'::regclass::oid, oid, 0, xmin::text FROM pg_namespace
     WHERE 'pg_namespace' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND oid NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_operator'::regclass::oid, oid, 0, xmin::text FROM pg_operator
     WHERE 'pg_operator' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND oprnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_opclass'::regclass::oid, oid, 0, xmin::text FROM pg_opclass
     WHERE 'pg_opclass' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND opcnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_opfamily'::regclass::oid, oid, 0, xmin::text FROM pg_opfamily
     WHERE 'pg_opfamily' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND opfnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_collation'::regclass::oid, oid, 0, xmin::text FROM pg_collation
     WHERE 'pg_collation' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND collnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_conversion'::regclass::oid, oid, 0, xmin::text FROM pg_conversion
     WHERE 'pg_conversion' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND connamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_ts_config'::regclass::oid, oid, 0, xmin::text FROM pg_ts_config
     WHERE 'pg_ts_config' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND cfgnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_ts_dict'::regclass::oid, oid, 0, xmin::text FROM pg_ts_dict
     WHERE 'pg_ts_dict' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND dictnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_ts_parser'::regclass::oid, oid, 0, xmin::text FROM pg_ts_parser
     WHERE 'pg_ts_parser' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND prsnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_ts_template'::regclass::oid, oid, 0, xmin::text FROM pg_ts_template
     WHERE 'pg_ts_template' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND tmplnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass::oid, oid, 0, xmin::text FROM pg_statistic_ext
     WHERE 'pg_statistic_ext' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND stxnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_default_acl'::regclass::oid, oid, 0, xmin::text FROM pg_default_acl
     WHERE 'pg_default_acl' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND defaclnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_constraint'::regclass::oid, oid, 0, xmin::text FROM pg_constraint -- of domains
     WHERE 'pg_constraint' = ANY (%(written)s) AND age(xmin) <= age(%(top)s::xid)
       AND contypid > 0 AND connamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_opfamily'::regclass::oid, f.oid, 0, a.xmin::text
      FROM pg_amop AS a JOIN pg_opfamily AS f ON f.oid = amopfamily
     WHERE 'pg_amop' = ANY (%(written)s) AND age(a.xmin) <= age(%(top)s::xid)
       AND opfnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_opfamily'::regclass::oid, f.oid, 0, a.xmin::text
      FROM pg_amproc AS a JOIN pg_opfamily AS f ON f.oid = amprocfamily
     WHERE 'pg_amproc' = ANY (%(written)s) AND age(a.xmin) <= age(%(top)s::xid)
       AND opfnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_ts_config'::regclass::oid, c.oid, 0, -- whole: DROP MAPPING takes no lock
           string_agg(format('%%s %%s', m.ctid, m.xmin), ',' ORDER BY m.ctid)
      FROM pg_ts_config AS c LEFT JOIN pg_ts_config_map AS m ON mapcfg = c.oid
     WHERE 'pg_ts_config_map' = ANY (%(written)s) AND cfgnamespace NOT IN (TABLE inside)
     GROUP BY c.oid
    UNION ALL
    SELECT 'pg_cast'::regclass::oid, c.oid, 0, c.xmin::text -- one of its types is inside
      FROM pg_cast AS c JOIN pg_type AS s ON s.oid = castsource JOIN pg_type AS t ON t.oid = casttarget
     WHERE 'pg_cast' = ANY (%(written)s) AND age(c.xmin) <= age(%(top)s::xid)
       AND s.typnamespace NOT IN (TABLE inside) AND t.typnamespace NOT IN (TABLE inside)
    UNION ALL
    SELECT 'pg_class'::regclass::oid, oid, 0, xmin::text FROM pg_class -- its privileges
     WHERE 'pg_class' = ANY (%(written)s)
       AND age(xmin) <= age(%(top)s::xid)
       AND relnamespace NOT IN (TABLE inside) AND oid NOT IN (TABLE held)
    UNION ALL
    SELECT 'pg_class'::regclass::oid, c.oid, attnum, a.xmin::text -- the privileges of a column
      FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
     WHERE 'pg_attribute' = ANY (%(written)s)
       AND age(a.xmin) <= age(%(top)s::xid)
       AND relnamespace NOT IN (TABLE inside) AND c.oid NOT IN (TABLE held)
)
SELECT class, object, part::int, row,
       CASE WHEN class = 'pg_class'::regclass THEN '' ELSE i.type || ' ' END || i.identity
  FROM found, pg_identify_object(class, object, part) AS i
