-- What models said, beside what is right: what people accepted, what is gold, or what was marked as ground
-- truth.

-- name: accepted
SELECT s.sample_id, s.external_id, s.group_key, only_fields(s.fields, CAST(:writes AS text[])) AS reference
  FROM samples s
 WHERE s.deleted_at IS NULL AND s.held ?& CAST(:writes AS text[])
   AND EXISTS (SELECT FROM tasks t
                WHERE t.sample_id = s.sample_id AND t.task_type = :task_type AND NOT t.is_gold_probe
                  AND t.state IN ('accepted', 'resolved'))
 ORDER BY s.arrival, s.sample_id;

-- name: gold
SELECT s.sample_id, s.external_id, s.group_key, only_fields(g.reference, CAST(:writes AS text[])) AS reference
  FROM gold_standards g JOIN samples s USING (sample_id)
 WHERE s.deleted_at IS NULL AND g.unset_at IS NULL AND g.reference ?& CAST(:writes AS text[])
   AND CAST(:task_type AS text) IS NOT NULL
 ORDER BY s.arrival, s.sample_id;

-- name: ground_truth
SELECT DISTINCT ON (s.arrival, s.sample_id) s.sample_id, s.external_id, s.group_key,
       only_fields(a.value, CAST(:writes AS text[])) AS reference
  FROM annotations a JOIN tasks t USING (task_key) JOIN samples s ON s.sample_id = t.sample_id
 WHERE t.task_type = :task_type AND a.ground_truth AND a.value IS NOT NULL AND a.deleted_at IS NULL
   AND NOT a.was_cancelled AND s.deleted_at IS NULL
 ORDER BY s.arrival, s.sample_id, a.annotation_id DESC;

-- name: predictions
SELECT DISTINCT ON (p.model_version, p.sample_id) p.model_version, p.sample_id, p.value
  FROM predictions p JOIN samples s USING (sample_id)
 WHERE p.task_type = :task_type AND p.model_version <> 'human-reflow' AND s.deleted_at IS NULL
   AND NOT changed_since(s.field_versions, CAST(:reads AS text[]), p.sync_version)
   AND (CAST(:version AS text) IS NULL OR starts_with(p.model_version, :version))
 ORDER BY p.model_version, p.sample_id, p.created_at DESC, p.prediction_id DESC;
