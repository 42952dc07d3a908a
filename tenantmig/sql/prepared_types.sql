SELECT format_type(type, -1)
  FROM pg_prepared_statements, unnest(parameter_types) WITH ORDINALITY AS parameter (type, position)
 WHERE name = 'tenantmig_types'
 ORDER BY position
