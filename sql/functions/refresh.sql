-- Refresh: tasks that nobody has started show what their samples are now.

-- Whether two snapshots show the same: who holds a field is not shown.
CREATE OR REPLACE FUNCTION shows_same(p_one jsonb, p_other jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_one - 'held' = p_other - 'held'
$$;

-- Which transactions changed samples, or put tasks to work: a run that finds none since it last looked at all
-- tasks need not look again. A transaction is a row, so writers never wait for each other.
CREATE OR REPLACE FUNCTION note_change() RETURNS void LANGUAGE sql AS $$
    INSERT INTO sample_changes (xid) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING
$$;
CREATE OR REPLACE FUNCTION samples_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change();
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER samples_changed
    AFTER UPDATE OF fields, upstream, held, field_versions, sync_version, media_path, media_md5, deleted_at
    ON samples
    FOR EACH STATEMENT EXECUTE FUNCTION samples_changed();

-- Tasks without an answer whose sample moved on since they were sent, upstream or in the hands of people.
CREATE OR REPLACE FUNCTION moved_tasks(p_project_id integer) RETURNS SETOF tasks LANGUAGE sql STABLE AS $$
    SELECT t.* FROM tasks t JOIN samples s USING (sample_id)
     WHERE t.project_id = p_project_id AND t.state = 'open' AND t.gone_at IS NULL AND NOT t.is_gold_probe
       AND t.adjudicates IS NULL
       AND s.deleted_at IS NULL
       AND (s.sync_version > t.sync_version
            OR (s.held <> '{}' OR t.base -> 'held' <> '{}')
               AND only_fields(s.held, t.reads || t.writes) IS DISTINCT FROM t.base -> 'held')
       -- Not has_answers: a function is called for each task before its sample is looked at.
       AND NOT EXISTS (SELECT FROM annotations a
                        WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled)
$$;

-- Whether nothing changed since all tasks of a project were last looked at and none was stale. A restored
-- ledger counts other transactions: so once in ten minutes they are looked at in any case.
CREATE OR REPLACE FUNCTION is_as_it_was(p_project_id integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(clock_timestamp() BETWEEN refreshed_at AND refreshed_at + interval '10 minutes'
               AND NOT EXISTS (SELECT FROM sample_changes c
                                WHERE NOT pg_visible_in_snapshot(c.xid, p.refreshed_as_of))), false)
      FROM projects p WHERE p.project_id = p_project_id AND p.refreshed_as_of IS NOT NULL
$$;

-- Where nothing that is shown has changed, the base moves on alone. Answers the tasks that show what is old.
DROP FUNCTION IF EXISTS stale_tasks(integer);
CREATE FUNCTION stale_tasks(p_project_id integer) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_as_of pg_snapshot := pg_current_snapshot();
    v_keys uuid[];
BEGIN
    IF is_as_it_was(p_project_id) THEN
        RETURN;
    END IF;
    v_keys := ARRAY(SELECT m.task_key FROM moved_tasks(p_project_id) m);
    PERFORM hold_tasks(v_keys);
    UPDATE tasks t SET base = snapshot(s, t.reads || t.writes), sync_version = s.sync_version
      FROM samples s
     WHERE t.task_key = ANY (v_keys) AND t.state = 'open' AND s.sample_id = t.sample_id
       AND shows_same(snapshot(s, t.reads || t.writes), t.base);
    IF v_keys <> '{}' THEN
        v_keys := ARRAY(SELECT m.task_key FROM moved_tasks(p_project_id) m
                         ORDER BY m.opened_at, m.ls_task_id);
    END IF;
    IF v_keys = '{}' THEN
        UPDATE projects SET refreshed_as_of = v_as_of, refreshed_at = clock_timestamp()
         WHERE project_id = p_project_id;
        DELETE FROM sample_changes WHERE xid < (
            SELECT min(pg_snapshot_xmin(coalesce(refreshed_as_of, v_as_of))) FROM projects
             WHERE project_id = p_project_id
               OR refreshed_as_of IS NOT NULL);
    END IF;
    RETURN QUERY SELECT * FROM unnest(v_keys);
END $$;

-- Label Studio shows the sample as it was at p_sync_version since p_since. Answers begun before p_until may
-- have been begun on what was shown before. Refused (false) when an answer came in meanwhile: then that is
-- what it was given to.
DROP FUNCTION IF EXISTS refresh_task(uuid, integer, jsonb, bigint, text, timestamptz);
CREATE OR REPLACE FUNCTION refresh_task(
    p_task_key uuid, p_sync_version integer, p_base jsonb, p_prediction_id bigint, p_model_version text,
    p_since timestamptz, p_until timestamptz
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
