-- Annotations: every version that was ever seen stays, whatever becomes of it in Label Studio.

CREATE OR REPLACE FUNCTION remember_annotation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO annotation_history (annotation_id, version, result, value, result_hash, was_cancelled,
                                    ground_truth, ls_updated_at, deleted_at, edited_by, raw)
    SELECT NEW.annotation_id, coalesce(max(version), 0) + 1, NEW.result, NEW.value, NEW.result_hash,
           NEW.was_cancelled, NEW.ground_truth, NEW.ls_updated_at, NEW.deleted_at, NEW.edited_by, NEW.raw
      FROM annotation_history WHERE annotation_id = NEW.annotation_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER annotation_first_seen AFTER INSERT ON annotations
    FOR EACH ROW EXECUTE FUNCTION remember_annotation();
CREATE OR REPLACE TRIGGER annotation_changed AFTER UPDATE ON annotations FOR EACH ROW
    WHEN ((OLD.result_hash, OLD.was_cancelled, OLD.ground_truth, OLD.deleted_at)
          IS DISTINCT FROM (NEW.result_hash, NEW.was_cancelled, NEW.ground_truth, NEW.deleted_at))
    EXECUTE FUNCTION remember_annotation();

-- Brings the ledger up to what Label Studio tells: tasks as it has them now, each with the full set of its
-- annotations (arrays, a column each; see ledger/annotations.py). Answers the tasks that changed. A task is
-- known by its key; one whose push was cut off before its id was written down is adopted here. p_asked: the
-- number of the order of reading that was drawn before Label Studio was asked. A task that was brought up to
-- it after that is `overtaken`: which of the two is newer no clock can tell, so it is left alone, and is to
-- be read again. Arrays, because the planner knows how long they are: one event is planned as one, a page of
-- five hundred as many, and nothing is made or analyzed for it.
DROP FUNCTION IF EXISTS receive_annotations(integer, text);
DROP FUNCTION IF EXISTS receive_annotations(integer, text, bigint);
CREATE OR REPLACE FUNCTION receive_annotations(
    p_project_id integer, p_server text, p_asked bigint,
    p_ls_task_ids bigint[], p_task_keys uuid[], p_tasks_updated timestamptz[], p_are_whole boolean[],
    p_numbers bigint[], p_of_tasks bigint[], p_annotators text[], p_results text[], p_values text[],
    p_problems text[], p_hashes text[], p_cancelled boolean[], p_marked boolean[],
    p_lead_times double precision[], p_created timestamptz[], p_updated timestamptz[], p_edited_by text[],
    p_say_nothing boolean[], p_raw text[]
) RETURNS TABLE (task_key uuid, twin bigint, overtaken bigint, added bigint, edited bigint, removed bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_read_at bigint := nextval('reads');
    v_told told_task[];
    v_changed uuid[];
    v_added bigint[];
    v_edited bigint[];
    v_removed bigint[];
BEGIN
    PERFORM 1 FROM samples s WHERE s.sample_id IN (
        SELECT t.sample_id FROM tasks t JOIN unnest(p_task_keys) key ON t.task_key = key)
      ORDER BY s.sample_id FOR UPDATE;
    PERFORM hold_tasks(p_task_keys);
    RETURN QUERY
    SELECT i.task_key, NULL::bigint, i.ls_task_id, 0::bigint, 0::bigint, 0::bigint
      FROM unnest(p_ls_task_ids, p_task_keys) i(ls_task_id, task_key) JOIN tasks t ON t.task_key = i.task_key
     WHERE t.project_id = p_project_id AND t.read_at > p_asked;
    v_told := ARRAY(
        SELECT i::told_task
          FROM unnest(p_ls_task_ids, p_task_keys, p_tasks_updated, p_are_whole)
               i(ls_task_id, task_key, ls_updated_at, is_whole)
          JOIN tasks t ON t.task_key = i.task_key
         WHERE t.project_id = p_project_id AND (t.read_at > p_asked) IS NOT TRUE);
    PERFORM give_up_ids(p_project_id, array_agg(i.task_key), array_agg(i.ls_task_id)) FROM unnest(v_told) i
      JOIN tasks t ON t.task_key = i.task_key AND t.project_id = p_project_id;
    PERFORM note_change() FROM unnest(v_told) LIMIT 1;
    UPDATE tasks t
       SET ls_task_id = i.ls_task_id, state = 'open', opened_at = now(), finished_at = NULL, gone_at = NULL
      FROM (SELECT DISTINCT ON (told.task_key) * FROM unnest(v_told) told
             ORDER BY told.task_key, told.ls_task_id) i
     WHERE t.task_key = i.task_key AND t.project_id = p_project_id
       AND (t.state = 'claimed' OR t.state = 'cancelled' AND is_wanted(t) AND (NOT is_settled(t)
            OR i.ls_task_id = ANY (p_of_tasks)));
    -- It was ended before anybody knew that Label Studio has it.
    UPDATE tasks t SET ls_task_id = i.ls_task_id FROM unnest(v_told) i
     WHERE t.task_key = i.task_key AND t.project_id = p_project_id AND t.state = 'cancelled'
       AND t.ls_task_id IS NULL;
    INSERT INTO locks (sample_id, task_type, locked_by, task_key)
    SELECT t.sample_id, t.task_type, 'label_studio', t.task_key
      FROM tasks t JOIN unnest(v_told) i ON i.task_key = t.task_key
     WHERE t.state = 'open' AND NOT t.is_gold_probe AND t.adjudicates IS NULL
       AND NOT EXISTS (SELECT FROM locks l WHERE l.task_key = t.task_key AND l.released_at IS NULL)
    ON CONFLICT DO NOTHING;

    WITH upserted AS (
        INSERT INTO annotations AS a (server, ls_annotation_id, task_key, ls_task_id, annotator, result,
                                      value, problem, result_hash, was_cancelled, ground_truth, lead_time,
                                      ls_created_at, ls_updated_at, edited_by, says_nothing, raw, own_mark)
        SELECT p_server, n.ls_annotation_id, i.task_key, i.ls_task_id, n.annotator, n.result::jsonb,
               n.value::jsonb,
               n.problem, n.result_hash, n.was_cancelled, n.ground_truth, n.lead_time, n.ls_created_at,
               n.ls_updated_at, n.edited_by, n.says_nothing, n.raw, n.ground_truth
          FROM unnest(p_numbers, p_of_tasks, p_annotators, p_results, p_values, p_problems, p_hashes,
                      p_cancelled, p_marked, p_lead_times, p_created, p_updated, p_edited_by, p_say_nothing,
                      p_raw)
               n(ls_annotation_id, ls_task_id, annotator, result, value, problem, result_hash, was_cancelled,
                 ground_truth, lead_time, ls_created_at, ls_updated_at, edited_by, says_nothing, raw)
          JOIN unnest(v_told) i USING (ls_task_id) ORDER BY n.ls_annotation_id
        ON CONFLICT (server, ls_annotation_id, task_key) DO UPDATE
           SET result = excluded.result, value = excluded.value, problem = excluded.problem,
               annotator = excluded.annotator, result_hash = excluded.result_hash,
               was_cancelled = excluded.was_cancelled, ground_truth = excluded.ground_truth,
               lead_time = excluded.lead_time, ls_updated_at = excluded.ls_updated_at, deleted_at = NULL,
               says_nothing = excluded.says_nothing, raw = excluded.raw,
               -- Who marks an answer as ground truth, or looks at it, has not edited it.
               edited_by = CASE WHEN a.result_hash = excluded.result_hash THEN a.edited_by
                                ELSE excluded.edited_by END,
               own_mark = excluded.ground_truth AND (
                   a.result_hash <> excluded.result_hash
                   OR NOT (a.ground_truth AND NOT a.own_mark)
                      AND coalesce(excluded.edited_by, excluded.annotator)
                          = coalesce(a.edited_by, a.annotator))
         WHERE (a.result_hash, a.was_cancelled, a.ground_truth, a.problem, a.value, a.says_nothing,
                a.deleted_at)
               IS DISTINCT FROM (excluded.result_hash, excluded.was_cancelled, excluded.ground_truth,
                                 excluded.problem, excluded.value, excluded.says_nothing, NULL)
            -- Somebody else marked it, too.
            OR a.own_mark AND excluded.edited_by IS NOT NULL
               AND excluded.edited_by <> coalesce(a.edited_by, a.annotator)
        RETURNING a.task_key, a.xmax = 0 AS is_new),
    withdrawn AS (
        UPDATE annotations a SET deleted_at = now() FROM unnest(v_told) i
         WHERE a.task_key = i.task_key AND a.ls_task_id = i.ls_task_id AND a.server = p_server
           AND a.deleted_at IS NULL AND i.is_whole
           AND NOT EXISTS (SELECT FROM unnest(p_numbers) number WHERE number = a.ls_annotation_id)
        RETURNING a.task_key)
    SELECT array_agg(r.task_key), array_agg(r.added), array_agg(r.edited), array_agg(r.removed)
      INTO v_changed, v_added, v_edited, v_removed
      FROM (SELECT c.task_key, count(*) FILTER (WHERE c.was = 'added') AS added,
                   count(*) FILTER (WHERE c.was = 'edited') AS edited,
                   count(*) FILTER (WHERE c.was = 'removed') AS removed
              FROM (SELECT upserted.task_key, CASE WHEN is_new THEN 'added' ELSE 'edited' END AS was
                      FROM upserted
                    UNION ALL SELECT withdrawn.task_key, 'removed' FROM withdrawn) c
             GROUP BY 1) r;

    UPDATE tasks t SET read_at = v_read_at FROM unnest(v_told) i
     WHERE t.task_key = i.task_key AND t.ls_task_id <> i.ls_task_id;
    UPDATE tasks t SET ls_updated_at = i.ls_updated_at, read_at = v_read_at,
           skips = (SELECT count(*) FROM annotations a
                     WHERE a.task_key = t.task_key AND a.was_cancelled AND a.deleted_at IS NULL)
      FROM unnest(v_told) i WHERE t.task_key = i.task_key AND t.ls_task_id = i.ls_task_id;

    RETURN QUERY
    SELECT i.task_key, CASE WHEN t.ls_task_id <> i.ls_task_id THEN i.ls_task_id END, NULL::bigint,
           coalesce(r.added, 0), coalesce(r.edited, 0), coalesce(r.removed, 0)
      FROM unnest(v_told) i JOIN tasks t ON t.task_key = i.task_key
      LEFT JOIN unnest(v_changed, v_added, v_edited, v_removed) r(task_key, added, edited, removed)
             ON r.task_key = i.task_key
     WHERE r.task_key IS NOT NULL OR t.ls_task_id <> i.ls_task_id OR t.state IN ('open', 'annotated')
     ORDER BY t.sample_id;
END $$;

-- The annotation that speaks for a task now, if it has what it needs: one that somebody marked as ground
-- truth, else of one that is needed the first that came, else of `overlap` people's the one closest to the
-- others, when they agree. Whether they agree is found outside (undecided_tasks); until it is, what was
-- accepted stands (accepted_stands).
DROP FUNCTION IF EXISTS chosen_annotation(tasks);
CREATE FUNCTION chosen_annotation(t tasks) RETURNS annotations LANGUAGE plpgsql STABLE AS $$
DECLARE
    a annotations;
    c consensus;
    v_needed integer := needed_answers(t);
BEGIN
    -- Whoever answered two copies is held to what they said last.
    SELECT * INTO a FROM counted_answers(t) v
     WHERE v.ground_truth
        OR v_needed = 1
           AND (NOT is_answered_twice(t) OR v.result_hash IN (SELECT last.result_hash FROM voices(t) last))
     ORDER BY v.ground_truth DESC, coalesce(v.annotation_id = t.accepted_annotation_id, false) DESC,
              v.ls_annotation_id
     LIMIT 1;
    IF FOUND OR v_needed = 1 OR (SELECT count(*) FROM voices(t)) < v_needed THEN
        RETURN a;
    END IF;
    SELECT * INTO c FROM consensus WHERE consensus.task_key = t.task_key AND answers = voices_digest(t);
    IF c.agreement >= c.threshold THEN
        SELECT * INTO a FROM annotations v WHERE v.annotation_id = c.annotation_id;
    END IF;
    RETURN a;
END $$;

-- A version of an annotation that an event told of, and that Label Studio does not have any more: it is part
-- of the history, marked as told, and never what the annotation is now. Answers false for what is in the
-- history already.
CREATE OR REPLACE FUNCTION tell_annotation(
    p_project_id integer, p_server text, p_task_key uuid, p_ls_task_id bigint, p_ls_annotation_id bigint,
    p_annotator text, p_edited_by text, p_result jsonb, p_value jsonb, p_problem text, p_says_nothing boolean,
    p_raw text, p_result_hash text, p_was_cancelled boolean, p_ground_truth boolean,
    p_lead_time double precision, p_ls_created_at timestamptz, p_ls_updated_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM tasks WHERE task_key = p_task_key AND project_id = p_project_id) THEN
        RETURN false;
    END IF;
    -- It was deleted before anybody looked.
    INSERT INTO annotations (server, ls_annotation_id, task_key, ls_task_id, annotator, edited_by, result,
                             value, problem, says_nothing, raw, result_hash, was_cancelled, ground_truth,
                             lead_time, ls_created_at, ls_updated_at, deleted_at)
    VALUES (p_server, p_ls_annotation_id, p_task_key, p_ls_task_id, p_annotator, p_edited_by, p_result,
            p_value, p_problem, p_says_nothing, p_raw, p_result_hash, p_was_cancelled, p_ground_truth,
            p_lead_time, p_ls_created_at, p_ls_updated_at, now())
    ON CONFLICT DO NOTHING RETURNING annotation_id INTO v_id;
    IF FOUND THEN
        UPDATE annotation_history SET told = true, deleted_at = NULL WHERE annotation_id = v_id;
        RETURN true;
    END IF;
    SELECT annotation_id INTO STRICT v_id FROM annotations
     WHERE server = p_server AND ls_annotation_id = p_ls_annotation_id AND task_key = p_task_key FOR UPDATE;
    INSERT INTO annotation_history (annotation_id, version, result, value, result_hash, was_cancelled,
                                    ground_truth, ls_updated_at, edited_by, raw, told)
    SELECT v_id, max(version) + 1, p_result, p_value, p_result_hash, p_was_cancelled, p_ground_truth,
           p_ls_updated_at, p_edited_by, p_raw, true
      FROM annotation_history h WHERE annotation_id = v_id
    HAVING NOT bool_or((h.result_hash, h.was_cancelled, h.ground_truth)
                       = (p_result_hash, p_was_cancelled, p_ground_truth));
    RETURN FOUND;
END $$;
