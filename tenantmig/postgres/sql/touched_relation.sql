-- A mark over what the catalogs say of one relation, in which any change of this transaction shows:
-- but that foreign keys of the schema point at it.
SELECT md5(string_agg(line, ',' ORDER BY line))
  FROM (
    SELECT (to_jsonb(c) - ARRAY['relhastriggers', 'relpages', 'reltuples', 'relallvisible',
                                'relallfrozen', 'relfrozenxid', 'relminmxid'])::text AS line
      FROM pg_class AS c WHERE oid = %(relation)s
    UNION ALL
    SELECT format('a%%s %%s', ctid, xmin) FROM pg_attribute WHERE attrelid = %(relation)s
    UNION ALL
    SELECT format('d%%s %%s', ctid, xmin) FROM pg_attrdef WHERE adrelid = %(relation)s
    UNION ALL
    SELECT format('i%%s %%s', ctid, xmin) FROM pg_index WHERE indrelid = %(relation)s
    UNION ALL
    SELECT format('c%%s %%s', ctid, xmin) FROM pg_constraint WHERE conrelid = %(relation)s
    UNION ALL
    SELECT format('r%%s %%s', ctid, xmin) FROM pg_rewrite WHERE ev_class = %(relation)s
    UNION ALL
    SELECT format('p%%s %%s', ctid, xmin) FROM pg_policy WHERE polrelid = %(relation)s
    UNION ALL
    SELECT format('h%%s %%s', ctid, xmin) FROM pg_inherits
     WHERE %(relation)s IN (inhrelid, inhparent)
    UNION ALL
    SELECT format('s%%s %%s', ctid, xmin) FROM pg_statistic_ext WHERE stxrelid = %(relation)s
    UNION ALL
    SELECT format('t%%s %%s', t.ctid, t.xmin)
      FROM pg_trigger AS t LEFT JOIN pg_class AS r ON r.oid = tgconstrrelid
     WHERE tgrelid = %(relation)s AND r.relnamespace IS DISTINCT FROM %(namespace)s
  ) AS lines
