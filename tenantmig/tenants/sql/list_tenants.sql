SELECT to_jsonb(entry)::text AS facts, current_database() AS database
  FROM {ledger}.tenant AS entry
 ORDER BY entry.name
