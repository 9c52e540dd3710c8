-- What is known of the cycles of `lsloop sync`.

-- name: runs
SELECT run_id, started_by, started_at, ended_at, outcome, steps,
       CAST(extract(epoch FROM ended_at - started_at) AS double precision) AS seconds
  FROM sync_runs WHERE CAST(:run_id AS bigint) IS NULL OR run_id = :run_id
 ORDER BY run_id DESC LIMIT :limit;

-- How long ago, in seconds, the last cycle that succeeded began.
-- name: age
SELECT CAST(extract(epoch FROM clock_timestamp() - max(started_at)) AS double precision) AS age
  FROM sync_runs WHERE outcome = 'succeeded';
