-- name: all
SELECT c.conflict_id, t.task_type, s.external_id, c.sample_id, c.task_key, p.ls_project_id, t.ls_task_id,
       a.ls_annotation_id, speaker(a) AS annotator, c.fields, c.moved, c.base, c.ours, c.theirs, t.reads,
       t.writes, c.status, c.resolution, c.reason, c.decided_because,
       c.actor, c.reflow_sample_id, c.created_at, c.resolved_at, c.automatic, c.tried, digest_of(c) AS seen,
       t.state <> 'conflicted' AND c.status = 'open' AS waits
  FROM conflicts c JOIN tasks t USING (task_key) JOIN samples s ON s.sample_id = c.sample_id
  JOIN projects p USING (project_id) JOIN annotations a ON a.annotation_id = c.annotation_id

-- name: story
SELECT at, actor, action, reason FROM audit WHERE about = 'conflict ' || CAST(:id AS bigint)
 ORDER BY audit_id;
