-- What people look at.

-- One row per sample, and per lock or task type at work on it.
CREATE OR REPLACE VIEW v_sync_status AS
SELECT s.sample_id, s.external_id, s.source, s.sync_version, s.dvc_commit_hash, s.media_md5 AS audio_file_md5,
       coalesce(l.task_type, t.task_type) AS task_type,
       CASE WHEN l.lock_id IS NULL THEN 'unlocked'
            WHEN l.expires_at <= now() THEN 'expired'
            WHEN l.task_key IS NOT NULL THEN 'in_label_studio'
            ELSE 'locked' END AS lock_status,
       l.locked_by, l.locked_at, l.expires_at, t.state AS task_state, t.ls_task_id,
       t.sync_version AS sent_version, s.sync_version <> t.sync_version AS changed_since_sent
  FROM samples s
  LEFT JOIN locks l ON l.sample_id = s.sample_id AND l.released_at IS NULL
  LEFT JOIN tasks t ON t.task_key = l.task_key
 WHERE s.deleted_at IS NULL;

-- Every value every field ever had. A field with one value only has it in the sample.
CREATE OR REPLACE VIEW v_revisions AS
SELECT sample_id, field, version, value, origin, remarks, task_key, annotation_id, model_version, actor,
       reason, created_at
  FROM revisions
UNION ALL
SELECT s.sample_id, f.key, 1, f.value, 'upstream', NULL, NULL, NULL, NULL, s.source, NULL, s.created_at
  FROM samples s, jsonb_each(s.fields) f
 WHERE NOT EXISTS (SELECT FROM revisions r WHERE r.sample_id = s.sample_id AND r.field = f.key);

CREATE OR REPLACE VIEW transcript_revisions AS
SELECT sample_id, version, value #>> '{}' AS transcript, origin, actor, remarks, created_at
  FROM v_revisions WHERE field = 'transcript';

CREATE OR REPLACE VIEW translation_revisions AS
SELECT sample_id, version, value #>> '{}' AS translation, origin, actor, remarks, created_at
  FROM v_revisions WHERE field = 'translation';
