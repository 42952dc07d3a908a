SELECT pg_catalog.format_type(type, -1)
  FROM pg_catalog.pg_prepared_statements,
       pg_catalog.unnest(parameter_types) WITH ORDINALITY AS parameter (type, position)
 WHERE name OPERATOR(pg_catalog.=) 'tenantmig_types'
 ORDER BY position
