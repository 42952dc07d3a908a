SELECT set_config('search_path', quote_ident({schema}){path}, false),
       set_config('lock_timeout', {lock_timeout}, false),
       {ledger}.enter({run}, {name}, {schema})
