-- name: counts
SELECT count(*) FILTER (WHERE state = 'stored') AS waiting,
       count(*) FILTER (WHERE state = 'failed') AS given_up
  FROM events WHERE state IN ('stored', 'failed');

-- name: are_due
SELECT EXISTS (SELECT FROM events WHERE state = 'stored' AND next_try_at <= clock_timestamp());

-- name: oldest
SELECT min(received_at) FROM events WHERE state = 'stored';

-- name: recent
SELECT event_id, received_at, action, source_path, CAST(payload #>> '{project,id}' AS text) AS ls_project_id,
       state, attempts, deliveries, CASE WHEN state = 'stored' THEN next_try_at END AS next_try_at,
       finished_at, error
  FROM events WHERE NOT CAST(:failed AS boolean) OR state = 'failed'
 ORDER BY event_id DESC LIMIT CAST(:limit AS integer);

-- name: tasks_of
SELECT a.ls_annotation_id, t.ls_task_id
  FROM annotations a JOIN tasks t USING (task_key) JOIN projects p USING (project_id)
 WHERE p.project_id = :project_id AND a.server = p.server
   AND a.ls_annotation_id = ANY (CAST(:ids AS bigint[]))
   AND a.deleted_at IS NULL AND t.gone_at IS NULL;

-- name: places
SELECT t.ls_task_id, t.project_id
  FROM tasks t JOIN projects p USING (project_id)
 WHERE p.server = :server AND t.ls_task_id = ANY (CAST(:ids AS bigint[])) AND t.gone_at IS NULL;
