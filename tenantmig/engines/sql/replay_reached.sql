SELECT {ledger}.reached(
    {run}, {epoch}, {name}, {attempt},
    pg_catalog.current_schema() OPERATOR(pg_catalog.=) {schema}
        AND (SELECT version_num OPERATOR(pg_catalog.=) {stands}
                AND xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::pg_catalog.xid
               FROM {table})
        AND pg_catalog.current_setting('standard_conforming_strings') OPERATOR(pg_catalog.=) {strings},
    {reached}, {outcome}, {done})
