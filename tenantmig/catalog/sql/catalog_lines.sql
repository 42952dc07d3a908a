SELECT kind, part_of, name, coalesce(definition, '') AS definition, coalesce(state, '') AS state
  FROM line
