-- What the demo and the tests hold against what was really sent and submitted.

-- name: tasks
SELECT t.task_key, t.ls_task_id, t.state, t.sample_id, s.external_id, t.is_gold_probe, t.adjudicates,
       t.overlap, t.sync_version = s.sync_version AS shows_today
  FROM tasks t JOIN samples s USING (sample_id)
 WHERE t.task_type = :task_type AND t.gone_at IS NULL AND (t.state <> 'cancelled' OR t.ls_task_id IS NOT NULL)
 ORDER BY s.external_id, t.claimed_at;

-- name: annotation_versions
SELECT a.task_key, a.ls_annotation_id, a.annotator, h.result, h.was_cancelled,
       h.deleted_at IS NOT NULL AS deleted
  FROM annotation_history h JOIN annotations a USING (annotation_id) JOIN tasks t USING (task_key)
 WHERE t.task_type = :task_type
 ORDER BY a.annotation_id, h.version;

-- name: revisions
SELECT s.external_id, r.version, r.value #>> '{}' AS value, r.origin, r.actor, r.reason, r.task_key,
       a.ls_annotation_id, r.version = (s.held ->> r.field)::integer AS held
  FROM v_revisions r JOIN samples s USING (sample_id) LEFT JOIN annotations a USING (annotation_id)
 WHERE r.field = :field
 ORDER BY s.external_id, r.version;

-- name: current
SELECT s.sample_id, s.external_id, s.fields ->> :field AS value, s.is_gold_standard
  FROM samples s WHERE s.deleted_at IS NULL ORDER BY s.external_id;

-- name: conflicts
SELECT s.external_id, c.task_key, c.fields, c.status, c.resolution, a.ls_annotation_id
  FROM conflicts c JOIN tasks t USING (task_key) JOIN annotations a USING (annotation_id)
  JOIN samples s ON s.sample_id = c.sample_id
 WHERE t.task_type = :task_type
 ORDER BY c.conflict_id;
