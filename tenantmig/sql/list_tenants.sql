SELECT name, schema, state, labels, current_database() AS database
  FROM {ledger}.tenant
 ORDER BY name
