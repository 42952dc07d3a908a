SELECT {ledger}.reached(
    {run}, {epoch}, {name}, {attempt},
    current_schema() = {schema}
        AND (SELECT version_num = {stands} AND xmin = pg_current_xact_id()::xid FROM {table}),
    {reached}, {outcome}, {done})
