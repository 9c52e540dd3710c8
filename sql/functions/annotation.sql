-- Annotations: every version that was ever seen stays, whatever becomes of it in Label Studio.

CREATE OR REPLACE FUNCTION remember_annotation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO annotation_history (annotation_id, version, result, value, result_hash, was_cancelled, ground_truth,
                                    ls_updated_at, deleted_at)
    SELECT NEW.annotation_id, coalesce(max(version), 0) + 1, NEW.result, NEW.value, NEW.result_hash, NEW.was_cancelled,
           NEW.ground_truth, NEW.ls_updated_at, NEW.deleted_at
      FROM annotation_history WHERE annotation_id = NEW.annotation_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER annotation_first_seen AFTER INSERT ON annotations
    FOR EACH ROW EXECUTE FUNCTION remember_annotation();
CREATE OR REPLACE TRIGGER annotation_changed AFTER UPDATE ON annotations FOR EACH ROW
    WHEN ((OLD.result_hash, OLD.was_cancelled, OLD.ground_truth, OLD.deleted_at)
          IS DISTINCT FROM (NEW.result_hash, NEW.was_cancelled, NEW.ground_truth, NEW.deleted_at))
    EXECUTE FUNCTION remember_annotation();

-- Brings the ledger up to the temporary tables `incoming_tasks` and `incoming_annotations` (see ledger/annotations.py):
-- tasks as Label Studio has them now, each with the full set of its annotations. Answers the tasks that changed.
-- A task is known by its key; one whose push was cut off before its id was written down is adopted here.
DROP FUNCTION IF EXISTS receive_annotations(integer, text);
CREATE FUNCTION receive_annotations(p_project_id integer, p_server text)
RETURNS TABLE (task_key uuid, twin bigint, added bigint, edited bigint, removed bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM samples s WHERE s.sample_id IN (
        SELECT t.sample_id FROM tasks t JOIN incoming_tasks i ON i.task_key = t.task_key) ORDER BY s.sample_id FOR UPDATE;
    PERFORM hold_tasks(array_agg(i.task_key)) FROM incoming_tasks i;
    PERFORM give_up_ids(p_project_id, array_agg(i.task_key), array_agg(i.ls_task_id)) FROM incoming_tasks i
      JOIN tasks t ON t.task_key = i.task_key AND t.project_id = p_project_id;
    UPDATE tasks t SET ls_task_id = i.ls_task_id, state = 'open', opened_at = now(), finished_at = NULL, gone_at = NULL
      FROM (SELECT DISTINCT ON (incoming_tasks.task_key) * FROM incoming_tasks ORDER BY incoming_tasks.task_key, ls_task_id) i
     WHERE t.task_key = i.task_key AND t.project_id = p_project_id
       AND (t.state = 'claimed' OR t.state = 'cancelled' AND is_wanted(t) AND (NOT is_settled(t)
            OR EXISTS (SELECT FROM incoming_annotations n WHERE n.ls_task_id = i.ls_task_id)));
    -- It was ended before anybody knew that Label Studio has it.
    UPDATE tasks t SET ls_task_id = i.ls_task_id FROM incoming_tasks i
     WHERE t.task_key = i.task_key AND t.project_id = p_project_id AND t.state = 'cancelled' AND t.ls_task_id IS NULL;
    INSERT INTO locks (sample_id, task_type, locked_by, task_key)
    SELECT t.sample_id, t.task_type, 'label_studio', t.task_key
      FROM tasks t JOIN incoming_tasks i ON i.task_key = t.task_key
     WHERE t.state = 'open' AND NOT t.is_gold_probe AND t.adjudicates IS NULL
       AND NOT EXISTS (SELECT FROM locks l WHERE l.task_key = t.task_key AND l.released_at IS NULL)
    ON CONFLICT DO NOTHING;

    -- What is older than what the ledger has seen of the same task says nothing new.
    DELETE FROM incoming_tasks i USING tasks t
     WHERE t.task_key = i.task_key AND t.ls_task_id = i.ls_task_id AND t.ls_updated_at > i.ls_updated_at;
    DELETE FROM incoming_tasks i
     WHERE NOT EXISTS (SELECT FROM tasks t WHERE t.task_key = i.task_key AND t.project_id = p_project_id);

    CREATE TEMPORARY TABLE received ON COMMIT DROP AS
    WITH upserted AS (
        INSERT INTO annotations AS a (server, ls_annotation_id, task_key, ls_task_id, annotator, result, value, problem,
                                      result_hash, was_cancelled, ground_truth, lead_time, ls_created_at, ls_updated_at)
        SELECT p_server, n.ls_annotation_id, i.task_key, i.ls_task_id, n.annotator, n.result, n.value, n.problem,
               n.result_hash, n.was_cancelled, n.ground_truth, n.lead_time, n.ls_created_at, n.ls_updated_at
          FROM incoming_annotations n JOIN incoming_tasks i USING (ls_task_id) ORDER BY n.ls_annotation_id
        ON CONFLICT (server, ls_annotation_id, task_key) DO UPDATE
           SET result = excluded.result, value = excluded.value, problem = excluded.problem, annotator = excluded.annotator,
               result_hash = excluded.result_hash, was_cancelled = excluded.was_cancelled,
               ground_truth = excluded.ground_truth, lead_time = excluded.lead_time,
               ls_updated_at = excluded.ls_updated_at, deleted_at = NULL
         WHERE excluded.ls_updated_at >= a.ls_updated_at
           AND (a.result_hash, a.was_cancelled, a.ground_truth, a.problem, a.value, a.deleted_at)
               IS DISTINCT FROM (excluded.result_hash, excluded.was_cancelled, excluded.ground_truth, excluded.problem,
                                 excluded.value, NULL)
        RETURNING a.task_key, a.xmax = 0 AS is_new),
    withdrawn AS (
        UPDATE annotations a SET deleted_at = now() FROM incoming_tasks i
         WHERE a.task_key = i.task_key AND a.ls_task_id = i.ls_task_id AND a.server = p_server AND a.deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM incoming_annotations n WHERE n.ls_annotation_id = a.ls_annotation_id)
        RETURNING a.task_key)
    SELECT upserted.task_key, is_new::integer AS added, (NOT is_new)::integer AS edited, 0 AS removed FROM upserted
    UNION ALL SELECT withdrawn.task_key, 0, 0, 1 FROM withdrawn;

    UPDATE tasks t SET ls_updated_at = i.ls_updated_at,
           skips = (SELECT count(*) FROM annotations a
                     WHERE a.task_key = t.task_key AND a.was_cancelled AND a.deleted_at IS NULL)
      FROM incoming_tasks i WHERE t.task_key = i.task_key AND t.ls_task_id = i.ls_task_id;

    RETURN QUERY
    SELECT i.task_key, CASE WHEN t.ls_task_id <> i.ls_task_id THEN i.ls_task_id END,
           coalesce(r.added, 0), coalesce(r.edited, 0), coalesce(r.removed, 0)
      FROM incoming_tasks i JOIN tasks t ON t.task_key = i.task_key
      LEFT JOIN (SELECT received.task_key, sum(received.added) AS added, sum(received.edited) AS edited,
                        sum(received.removed) AS removed FROM received GROUP BY 1) r ON r.task_key = i.task_key
     WHERE r.task_key IS NOT NULL OR t.ls_task_id <> i.ls_task_id OR t.state IN ('open', 'annotated')
     ORDER BY t.sample_id;
    DROP TABLE received;
END $$;

-- The annotation that speaks for a task now, if it has what it needs: one that somebody marked as ground truth, else of
-- one that is needed the first that came, else of `overlap` people's the one closest to the others, when they agree.
-- Whether they agree is found outside (undecided_tasks); until it is, what was accepted stands (accepted_stands).
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
        OR v_needed = 1 AND (NOT is_answered_twice(t) OR v.result_hash IN (SELECT last.result_hash FROM voices(t) last))
     ORDER BY v.ground_truth DESC, coalesce(v.annotation_id = t.accepted_annotation_id, false) DESC, v.ls_created_at,
              v.ls_annotation_id LIMIT 1;
    IF FOUND OR v_needed = 1 OR (SELECT count(*) FROM voices(t)) < v_needed THEN
        RETURN a;
    END IF;
    SELECT * INTO c FROM consensus WHERE consensus.task_key = t.task_key AND answers = voices_digest(t);
    IF c.agreement >= c.threshold THEN
        SELECT * INTO a FROM annotations v WHERE v.annotation_id = c.annotation_id;
    END IF;
    RETURN a;
END $$;
