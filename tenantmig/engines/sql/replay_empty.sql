-- A SELECT that found nothing for the witnesses; a cast that fails refuses to go on where it does.
SELECT CASE WHEN EXISTS (
{select}
) THEN ('tenantmig: a SELECT that found nothing for others finds rows: ' || clock_timestamp())::int END
