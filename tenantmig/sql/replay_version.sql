-- Compare and set the version row; a cast that fails refuses the COMMIT.
WITH moved AS ({change} RETURNING version_num)
SELECT CASE WHEN (SELECT count(*) FROM moved) = 1 AND (SELECT count(*) FROM {table}) = {rows} THEN 0
            ELSE ('tenantmig: the version table is not as it was planned: ' || clock_timestamp())::int END
