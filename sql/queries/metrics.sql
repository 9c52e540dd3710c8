-- What /metrics counts: aggregates over the whole ledger, read at most every few seconds.

-- name: tasks
SELECT task_type, state, count(*) AS n FROM tasks GROUP BY 1, 2 ORDER BY 1, 2;

-- name: samples
SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS n FROM samples;

-- name: conflicts
SELECT t.task_type AS name, count(*) AS n FROM conflicts c JOIN tasks t USING (task_key) WHERE c.status = 'open' GROUP BY 1 ORDER BY 1;

-- name: locks
SELECT CASE WHEN task_key IS NOT NULL THEN 'task' WHEN expires_at > now() THEN 'other' ELSE 'expired' END AS name,
       count(*) AS n
  FROM locks WHERE released_at IS NULL GROUP BY 1 ORDER BY 1;

-- name: pulls
SELECT task_type, CAST(extract(epoch FROM now() - pulled_at) AS double precision) AS seconds
  FROM projects WHERE server = :server AND pulled_at IS NOT NULL ORDER BY 1;

-- name: has_events
SELECT to_regclass('events') IS NOT NULL;

-- name: events
SELECT state AS name, count(*) AS n FROM events GROUP BY 1 ORDER BY 1;
