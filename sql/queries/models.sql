-- Models and trainings, as people read them.

-- name: versions
SELECT version, task_type, path, weights, base, base_version, data_sha256, params, seed, code_version,
       metrics, created_at, replaces, promoted_at, demoted_at,
       promoted_at IS NOT NULL AND demoted_at IS NULL AS in_use
  FROM model_versions
 WHERE CAST(:task_type AS text) IS NULL OR task_type = :task_type
 ORDER BY task_type, created_at DESC, version;

-- name: promoted
SELECT version, task_type, path, weights, base, base_version, data_sha256, params, seed, code_version,
       metrics, created_at, replaces, promoted_at, demoted_at, true AS in_use
  FROM model_versions WHERE task_type = :task_type AND promoted_at IS NOT NULL AND demoted_at IS NULL;

-- A training that runs although nobody holds its task type's turn was interrupted.
-- name: trainings
SELECT t.training_id, t.task_type, t.requested_by, t.reason, t.milestone, t.job_id, t.requested_at,
       t.started_at, t.finished_at, t.resumed, t.outcome, t.error, t.model_version,
       CASE WHEN t.state = 'running' AND NOT EXISTS (
                SELECT FROM pg_locks l,
                     (SELECT hashtextextended('lsloop retrain ' || t.task_type, 0) AS key) k
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND l.classid = ((k.key >> 32) & 4294967295)::oid AND l.objid = (k.key & 4294967295)::oid)
            THEN 'interrupted' ELSE t.state END AS state
  FROM trainings t
 WHERE CAST(:task_type AS text) IS NULL OR t.task_type = :task_type
 ORDER BY t.training_id DESC LIMIT :limit;

-- name: history
SELECT at, actor, action, reason, detail FROM audit WHERE about = 'model ' || CAST(:version AS text)
 ORDER BY audit_id;

-- name: waiting
SELECT training_id, task_type FROM trainings WHERE state = 'queued' AND job_id IS NULL ORDER BY training_id;

-- name: stand_ins
SELECT task_type, version, reason, since FROM model_stand_ins
 WHERE CAST(:task_type AS text) IS NULL OR task_type = :task_type ORDER BY task_type;
