-- name: samples
SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS samples,
       count(*) FILTER (WHERE deleted_at IS NOT NULL) AS deleted,
       count(*) FILTER (WHERE deleted_at IS NULL AND is_gold_standard) AS gold
  FROM samples;

-- name: tasks
SELECT p.task_type, p.ls_project_id, p.pulled_at,
       count(t.task_key) FILTER (WHERE t.state = 'claimed') AS claimed,
       count(t.task_key) FILTER (WHERE t.state = 'open') AS open,
       count(t.task_key) FILTER (WHERE t.state = 'annotated') AS annotated,
       count(t.task_key) FILTER (WHERE t.state = 'conflicted') AS conflicted,
       count(t.task_key) FILTER (WHERE t.state IN ('accepted', 'resolved')) AS accepted,
       count(t.task_key) FILTER (WHERE t.state = 'probed') AS probed,
       count(t.task_key) FILTER (WHERE t.state = 'cancelled') AS cancelled,
       count(t.task_key) FILTER (WHERE t.waits_for = 'adjudication') AS to_decide,
       count(t.task_key) FILTER (WHERE t.waits_for = 'review') AS to_review,
       count(t.task_key) FILTER (WHERE t.state = 'parked') AS parked,
       count(t.task_key) FILTER (WHERE t.skips > 0 AND t.state IN ('open', 'annotated')) AS skipped
  FROM projects p LEFT JOIN tasks t USING (project_id)
 WHERE p.server = :server AND (CAST(:task_type AS text) IS NULL OR p.task_type = :task_type)
 GROUP BY p.project_id ORDER BY p.task_type;

-- name: locks
SELECT count(*) FILTER (WHERE task_key IS NOT NULL) AS in_label_studio,
       count(*) FILTER (WHERE task_key IS NULL AND expires_at > now()) AS elsewhere,
       count(*) FILTER (WHERE expires_at <= now()) AS expired
  FROM locks WHERE released_at IS NULL;

-- name: conflicts
SELECT count(*) FILTER (WHERE status = 'open') AS open,
       count(*) FILTER (WHERE status = 'resolved') AS decided,
       count(*) FILTER (WHERE status = 'withdrawn') AS withdrawn
  FROM conflicts;

-- name: annotations
SELECT count(*) FILTER (WHERE a.deleted_at IS NULL) AS annotations,
       count(*) FILTER (WHERE a.problem IS NOT NULL AND a.deleted_at IS NULL) AS not_understood,
       count(DISTINCT a.annotator) AS annotators
  FROM annotations a;
