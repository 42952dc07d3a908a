INSERT INTO {ledger}.run (kind, target, state, host, driver_pid, tool_version, direction, undoes,
                          is_fleetwide, options, server)
VALUES (%(kind)s, %(target)s, 'running', %(host)s, %(driver_pid)s, %(tool_version)s, %(direction)s,
        %(undoes)s, %(is_fleetwide)s, %(options)s, %(server)s)
RETURNING id, epoch, started_at, server
