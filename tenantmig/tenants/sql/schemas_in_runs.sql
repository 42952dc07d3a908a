SELECT DISTINCT schema FROM {ledger}.run_tenant
 WHERE schema = ANY(%s) AND (to_revision IS NOT NULL OR from_revision IS NOT NULL)
