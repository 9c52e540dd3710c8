-- Refresh: tasks that nobody has started show what their samples are now.

-- Whether two snapshots show the same: who holds a field is not shown.
CREATE OR REPLACE FUNCTION shows_same(p_one jsonb, p_other jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_one - 'held' = p_other - 'held'
$$;

-- Tasks without an answer whose sample moved on since they were sent, upstream or in the hands of people.
CREATE OR REPLACE FUNCTION moved_tasks(p_project_id integer) RETURNS SETOF tasks LANGUAGE sql STABLE AS $$
    SELECT t.* FROM tasks t JOIN samples s USING (sample_id)
     WHERE t.project_id = p_project_id AND t.state = 'open' AND t.gone_at IS NULL AND NOT t.is_gold_probe AND t.adjudicates IS NULL
       AND s.deleted_at IS NULL
       AND (s.sync_version > t.sync_version
            OR (s.held <> '{}' OR t.base -> 'held' <> '{}')
               AND only_fields(s.held, t.reads || t.writes) IS DISTINCT FROM t.base -> 'held')
       AND NOT has_answers(t)
$$;

-- Where nothing that is shown has changed, the base moves on alone. Answers the tasks that show what is old.
DROP FUNCTION IF EXISTS stale_tasks(integer);
CREATE FUNCTION stale_tasks(p_project_id integer) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_tasks(array_agg(m.task_key)) FROM moved_tasks(p_project_id) m;
    UPDATE tasks t SET base = snapshot(s, t.reads || t.writes), sync_version = s.sync_version
      FROM moved_tasks(p_project_id) m, samples s
     WHERE t.task_key = m.task_key AND t.state = 'open' AND s.sample_id = t.sample_id
       AND shows_same(snapshot(s, t.reads || t.writes), t.base);
    RETURN QUERY SELECT m.task_key FROM moved_tasks(p_project_id) m ORDER BY m.opened_at, m.ls_task_id;
END $$;

-- Label Studio shows the sample as it was at p_sync_version since p_since. Answers begun before p_until may have been begun
-- on what was shown before. Refused (false) when an answer came in meanwhile: then that is what it was given to.
DROP FUNCTION IF EXISTS refresh_task(uuid, integer, jsonb, bigint, text, timestamptz);
CREATE OR REPLACE FUNCTION refresh_task(
    p_task_key uuid, p_sync_version integer, p_base jsonb, p_prediction_id bigint, p_model_version text, p_since timestamptz,
    p_until timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    t tasks;
BEGIN
    SELECT * INTO STRICT t FROM tasks WHERE task_key = p_task_key FOR UPDATE;
    IF t.state <> 'open' OR has_answers(t) OR t.sync_version > p_sync_version THEN
        RETURN false;
    END IF;
    INSERT INTO earlier_bases (task_key, until, ended_at, base, sync_version)
    VALUES (t.task_key, p_until, p_since, t.base, t.sync_version)
    ON CONFLICT DO NOTHING;
    UPDATE tasks SET base = p_base, sync_version = p_sync_version, prediction_id = p_prediction_id,
           model_version = p_model_version
     WHERE task_key = t.task_key;
    RETURN true;
END $$;
