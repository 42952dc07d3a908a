SELECT pg_cancel_backend(pid)
  FROM pg_stat_activity
 WHERE application_name = %(application_name)s AND datname = current_database()
   AND usename = current_user AND state <> 'idle' AND pid <> pg_backend_pid()
