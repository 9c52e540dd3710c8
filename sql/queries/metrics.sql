-- What /metrics counts: aggregates over the whole ledger, read at most every few seconds.

-- name: tasks
SELECT task_type, state, count(*) AS n FROM tasks GROUP BY 1, 2 ORDER BY 1, 2;

-- name: samples
SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS n FROM samples;

-- name: conflicts
SELECT t.task_type AS name, count(*) AS n FROM conflicts c JOIN tasks t USING (task_key)
 WHERE c.status = 'open' GROUP BY 1 ORDER BY 1;

-- name: locks
SELECT CASE WHEN task_key IS NOT NULL THEN 'task'
            WHEN expires_at > now() THEN 'other'
            ELSE 'expired' END AS name,
       count(*) AS n
  FROM locks WHERE released_at IS NULL GROUP BY 1 ORDER BY 1;

-- name: pulls
SELECT task_type, CAST(extract(epoch FROM now() - pulled_at) AS double precision) AS seconds
  FROM projects WHERE server = :server AND pulled_at IS NOT NULL ORDER BY 1;

-- Only of what waits and of what was given up: indexes know these, and those that are done are many.
-- name: events
SELECT (SELECT count(*) FROM events WHERE state = 'stored') AS waiting,
       (SELECT count(*) FROM events WHERE state = 'failed') AS given_up,
       CAST(coalesce(extract(epoch FROM clock_timestamp()
                                        - (SELECT min(received_at) FROM events WHERE state = 'stored')), 0)
            AS double precision) AS wait;
