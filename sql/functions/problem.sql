-- Set aside what a step could not take. `p_problems` is a JSON array of objects with the columns of
-- `problems`.
CREATE OR REPLACE FUNCTION set_aside(p_problems jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO problems AS p (step, task_type, subject, key, sample_id, annotator, ls_project_id, ls_task_id,
                               reason, fix, sync_version, digest)
    SELECT DISTINCT ON (step, task_type, subject, key) step, task_type, subject, key, sample_id, annotator,
           ls_project_id, ls_task_id, reason, fix, sync_version, digest
      FROM jsonb_to_recordset(p_problems) AS n (
           step text, task_type text, subject text, key text, sample_id uuid, annotator text,
           ls_project_id bigint, ls_task_id bigint, reason text, fix text, sync_version integer, digest text)
     ORDER BY step, task_type, subject, key
    ON CONFLICT (step, task_type, subject, key) DO UPDATE
       SET sample_id = excluded.sample_id, annotator = excluded.annotator,
           ls_project_id = excluded.ls_project_id, ls_task_id = excluded.ls_task_id, reason = excluded.reason,
           fix = excluded.fix, sync_version = excluded.sync_version, digest = excluded.digest,
           times = p.times + 1, last_seen = now()
$$;
