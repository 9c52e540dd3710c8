-- Several annotators: which answers count, how far they agree, and what becomes of tasks whose answers do
-- not.

-- Who says what an annotation says: whoever edited somebody else's answer last.
CREATE OR REPLACE FUNCTION speaker(a annotations) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(a.edited_by, a.annotator)
$$;

-- Whether somebody looked at a held answer as it is now, and what they decided: released, rejected, or NULL.
CREATE OR REPLACE FUNCTION review_of(a annotations) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN a.reviewed_hash = a.result_hash THEN a.review END
$$;

-- Whether an answer waits for somebody to look at it. One that was marked as ground truth does not, unless
-- who said it marked it.
CREATE OR REPLACE FUNCTION waits_for_review(a annotations, p_task_type text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT (a.ground_truth AND NOT a.own_mark) AND review_of(a) IS NULL
           AND is_held(speaker(a), p_task_type, a.ls_updated_at)
$$;

-- The answers that count for a task: understood, standing, not rejected, and not held.
CREATE OR REPLACE FUNCTION counted_answers(t tasks) RETURNS SETOF annotations LANGUAGE sql STABLE AS $$
    SELECT a.* FROM annotations a
     WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled AND a.value IS NOT NULL
       AND review_of(a) IS DISTINCT FROM 'rejected' AND NOT waits_for_review(a, t.task_type)
$$;

-- Of those, what each person said last: an answer that somebody else edited is this one's. The numbers of
-- Label Studio say which came first; its clock may have been put back in between.
CREATE OR REPLACE FUNCTION voices(t tasks) RETURNS SETOF annotations LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (speaker(a)) a.* FROM counted_answers(t) a
     ORDER BY speaker(a), a.ls_annotation_id DESC
$$;

-- Whether a second copy of a task was answered, too: then two people were asked what one was to be asked.
CREATE OR REPLACE FUNCTION is_answered_twice(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM annotations a
                    WHERE a.task_key = t.task_key AND a.ls_task_id <> t.ls_task_id AND a.deleted_at IS NULL
                      AND NOT a.was_cancelled)
$$;

-- How many answers decide a task: of what was asked twice none is without effect.
CREATE OR REPLACE FUNCTION needed_answers(t tasks) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN is_answered_twice(t) THEN greatest(t.overlap, (SELECT count(*)::integer FROM voices(t)))
                ELSE t.overlap END
$$;

-- A digest of who said what: a comparison of answers holds for these answers alone.
CREATE OR REPLACE FUNCTION voices_digest(t tasks) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT md5(string_agg(v.annotation_id || ':' || v.result_hash, ',' ORDER BY v.annotation_id))
      FROM voices(t) v
$$;

-- Of these tasks, those whose answers are enough and were not compared yet, with the answers in the order
-- they came.
CREATE OR REPLACE FUNCTION undecided_tasks(p_task_keys uuid[], p_threshold double precision)
RETURNS TABLE (task_key uuid, answers text, annotation_ids bigint[], answer_values jsonb)
LANGUAGE sql STABLE AS $$
    SELECT t.task_key, voices_digest(t), v.ids, v.said
      FROM tasks t
      CROSS JOIN LATERAL (
          SELECT array_agg(v.annotation_id ORDER BY v.ls_annotation_id) AS ids,
                 jsonb_agg(v.value ORDER BY v.ls_annotation_id) AS said, count(*) AS n
            FROM voices(t) v) v
     WHERE t.task_key = ANY (p_task_keys) AND (t.overlap > 1 OR is_answered_twice(t)) AND NOT t.is_gold_probe
       AND t.state NOT IN ('claimed', 'cancelled') AND v.n >= t.overlap AND v.n > 1
       AND NOT EXISTS (SELECT FROM consensus c WHERE c.task_key = t.task_key AND c.threshold = p_threshold
                          AND c.answers = voices_digest(t))
$$;

-- Whether the answers that a task has now were compared and found too far apart.
CREATE OR REPLACE FUNCTION disagreed(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM consensus c WHERE c.task_key = t.task_key AND c.agreement < c.threshold
                      AND c.answers = voices_digest(t))
$$;

-- A task without an answer that speaks for it waits; answers what for, when that is new.
CREATE OR REPLACE FUNCTION await_answers(p_task_key uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t tasks;
    v_state text;
    v_waits_for text;
BEGIN
    SELECT * INTO t FROM tasks WHERE task_key = p_task_key;
    IF t.state NOT IN ('open', 'annotated') THEN
        RETURN NULL;
    END IF;
    v_state := await_annotations(t);
    SELECT CASE WHEN disagreed(t) THEN 'adjudication'
                WHEN EXISTS (SELECT FROM annotations a
                              WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled
                                AND a.value IS NOT NULL AND waits_for_review(a, t.task_type))
                THEN 'review' END
      INTO v_waits_for;
    UPDATE tasks SET waits_for = v_waits_for
     WHERE task_key = t.task_key AND state = 'annotated' AND waits_for IS DISTINCT FROM v_waits_for;
    RETURN CASE WHEN FOUND AND v_waits_for IS NOT NULL THEN v_waits_for ELSE v_state END;
END $$;

-- What a task waits for ends when it waits no more.
CREATE OR REPLACE FUNCTION stop_waiting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.waits_for := NULL;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER task_waits_no_more BEFORE UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.state = 'annotated' AND NEW.state <> 'annotated') EXECUTE FUNCTION stop_waiting();

-- A task and its adjudication end together: the answer to the adjudication decides the task, and a task that
-- was decided otherwise, or does not disagree any more, needs none.
CREATE OR REPLACE FUNCTION end_adjudication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.adjudicates IS NOT NULL THEN
        PERFORM end_task(t.task_key, 'resolved') FROM tasks t
          WHERE t.task_key = NEW.adjudicates AND t.state = 'annotated'
            AND NEW.state IN ('accepted', 'resolved');
    ELSIF OLD.waits_for = 'adjudication' AND NEW.waits_for IS DISTINCT FROM 'adjudication' THEN
        PERFORM end_task(t.task_key, 'cancelled') FROM tasks t
          WHERE t.adjudicates = NEW.task_key AND t.state IN ('claimed', 'open', 'annotated');
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER task_adjudicated AFTER UPDATE ON tasks FOR EACH ROW
    WHEN (NEW.adjudicates IS NOT NULL AND OLD.state <> NEW.state OR OLD.waits_for = 'adjudication')
    EXECUTE FUNCTION end_adjudication();

-- The tasks that wait for an adjudication and have none at work.
CREATE OR REPLACE FUNCTION due_adjudications(p_project_id integer) RETURNS SETOF tasks
LANGUAGE sql STABLE AS $$
    SELECT t.* FROM tasks t JOIN samples s USING (sample_id)
     WHERE t.project_id = p_project_id AND t.waits_for = 'adjudication' AND s.deleted_at IS NULL
       AND NOT is_left_out(s, t.task_type)
       AND NOT EXISTS (SELECT FROM tasks o WHERE o.adjudicates = t.task_key
                          AND o.is_live)
$$;

-- Claims an adjudication of each task that is due one. Answers their keys, oldest first.
CREATE OR REPLACE FUNCTION claim_adjudications(p_project_id integer, p_claimed_by text, p_limit integer)
RETURNS SETOF uuid LANGUAGE sql AS $$
    INSERT INTO tasks (sample_id, task_type, project_id, sync_version, reads, writes, base, overlap,
                       claimed_by, adjudicates)
    SELECT t.sample_id, t.task_type, t.project_id, s.sync_version, t.reads, t.writes, '{}', 1, p_claimed_by,
           t.task_key
      FROM due_adjudications(p_project_id) t JOIN samples s USING (sample_id)
     ORDER BY t.claimed_at, t.task_key LIMIT p_limit
    ON CONFLICT DO NOTHING RETURNING task_key
$$;

-- What an adjudication is to decide between: the answers of its task, the one closest to the others first.
CREATE OR REPLACE FUNCTION candidates(p_adjudication tasks) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_agg(v.value ORDER BY v.annotation_id IS DISTINCT FROM c.annotation_id, v.ls_annotation_id)
      FROM tasks t CROSS JOIN LATERAL voices(t) v LEFT JOIN consensus c ON c.task_key = t.task_key
     WHERE t.task_key = p_adjudication.adjudicates
$$;
