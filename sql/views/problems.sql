-- All that is set aside: what steps could not take, answers without a value, events that were given up.
CREATE OR REPLACE VIEW v_problems AS
SELECT p.step, p.task_type, p.subject, p.key, p.sample_id, s.external_id, p.annotator, p.ls_project_id,
       p.ls_task_id, p.reason, p.fix, p.times, p.first_seen, p.last_seen
  FROM problems p LEFT JOIN samples s USING (sample_id)
UNION ALL
SELECT 'pull', t.task_type, 'annotation', a.ls_annotation_id::text, t.sample_id, s.external_id, speaker(a),
       j.ls_project_id, a.ls_task_id, a.problem, 'Open the task, correct the answer and press Update.',
       1, a.received_at, a.received_at
  FROM annotations a JOIN tasks t USING (task_key) JOIN samples s USING (sample_id)
  JOIN projects j USING (project_id)
 WHERE a.problem IS NOT NULL AND a.deleted_at IS NULL AND NOT a.was_cancelled
UNION ALL
SELECT 'ingest', '', 'sample', s.sample_id::text, s.sample_id, s.external_id, '', NULL, NULL, s.media_problem,
       'Put a file that can be shown into data/raw, then run `lsloop ingest`.', 1, s.updated_at, s.updated_at
  FROM samples s WHERE s.media_problem IS NOT NULL AND s.deleted_at IS NULL
UNION ALL
SELECT 'events', '', 'event', e.event_id::text, NULL, NULL, '', NULL, NULL, coalesce(e.error, 'given up'),
       '`lsloop events --retry` tries it again.', e.attempts, e.received_at,
       coalesce(e.finished_at, e.received_at)
  FROM events e WHERE e.state = 'failed';
