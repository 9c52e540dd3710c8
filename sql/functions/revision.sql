-- Revisions: accepted values, append only; and settle_task, the one place that decides a task.

CREATE OR REPLACE TRIGGER revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DROP FUNCTION IF EXISTS refuse_revision_change();

-- Probes and adjudications are tasks beside another one, which has the lock.
CREATE OR REPLACE FUNCTION lock_task(t tasks) RETURNS void LANGUAGE sql AS $$
    INSERT INTO locks (sample_id, task_type, locked_by, task_key)
    SELECT t.sample_id, t.task_type, 'label_studio', t.task_key
     WHERE NOT t.is_gold_probe AND t.adjudicates IS NULL
       AND NOT EXISTS (SELECT FROM locks l WHERE l.task_key = t.task_key AND l.released_at IS NULL)
    ON CONFLICT DO NOTHING
$$;

-- Ends tasks, each with the annotation that is accepted now, where one is given. One update: PostgreSQL
-- checks the foreign keys of a row that a transaction changes a second time.
DROP FUNCTION IF EXISTS end_tasks(uuid[], text);
CREATE OR REPLACE FUNCTION end_tasks(p_task_keys uuid[], p_state text, p_annotation_ids bigint[] DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
    UPDATE tasks t SET state = p_state, finished_at = now(),
           accepted_annotation_id = coalesce(a.annotation_id, t.accepted_annotation_id),
           accepted_hash = coalesce(a.result_hash, t.accepted_hash)
      FROM unnest(p_task_keys, p_annotation_ids) n(task_key, annotation_id)
      LEFT JOIN annotations a USING (annotation_id)
     WHERE t.task_key = n.task_key;
    UPDATE locks SET released_at = now() WHERE task_key = ANY (p_task_keys) AND released_at IS NULL;
$$;
DROP FUNCTION IF EXISTS end_task(uuid, text);
CREATE OR REPLACE FUNCTION end_task(p_task_key uuid, p_state text, p_annotation_id bigint DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    SELECT end_tasks(ARRAY[p_task_key], p_state, ARRAY[p_annotation_id])
$$;

-- The task that is at work in the place of this one, on the same sample or the same disagreement: there is
-- never more than one.
CREATE OR REPLACE FUNCTION other_at_work(t tasks) RETURNS tasks LANGUAGE sql STABLE AS $$
    SELECT o::tasks FROM tasks o
     WHERE o.sample_id = t.sample_id AND o.task_type = t.task_type AND o.task_key <> t.task_key
       AND o.is_live AND NOT o.is_gold_probe
       AND o.adjudicates IS NOT DISTINCT FROM t.adjudicates
$$;

-- Whether the field's current value is one that people gave in this task.
CREATE OR REPLACE FUNCTION holds(t tasks, s samples, p_field text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM revisions r
                    WHERE r.sample_id = s.sample_id AND r.field = p_field
                      AND r.version = (s.held ->> p_field)::integer
                      AND r.task_key = t.task_key)
$$;

-- A field's value, for good or until people take it back; p_version NULL: what upstream says is current
-- again.
CREATE OR REPLACE FUNCTION set_field(p_sample_id uuid, p_field text, p_value jsonb, p_version integer)
RETURNS void LANGUAGE sql AS $$
    SELECT writing_of_ours(true);
    UPDATE samples s
       SET fields = n.fields, upstream = nullif(coalesce(s.upstream, s.fields), n.fields), updated_at = now(),
           held = CASE WHEN p_version IS NULL THEN s.held - p_field
                       ELSE s.held || jsonb_build_object(p_field, p_version) END
      FROM (SELECT CASE WHEN p_value IS NULL THEN fields - p_field
                        ELSE fields || jsonb_build_object(p_field, p_value) END AS fields
              FROM samples WHERE sample_id = p_sample_id) n
     WHERE s.sample_id = p_sample_id;
    SELECT writing_of_ours(false);
$$;

-- Writes what was answered into the samples, one revision for each field that an answer speaks of. The value
-- may be another than the annotation's: a merge. No two of the tasks may be of one sample. What the tasks are
-- now is not said here but by end_tasks.
DROP FUNCTION IF EXISTS write_revisions(tasks, annotations, text, text);
CREATE OR REPLACE FUNCTION write_revisions(
    p_task_keys uuid[], p_annotation_ids bigint[], p_values jsonb[], p_origin text,
    p_reasons text[] DEFAULT '{}'
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM writing_of_ours(true);
    WITH written AS MATERIALIZED (
        SELECT s.sample_id, field, n.value -> field AS value,
               append_revision(s.sample_id, field, s.fields -> field, n.value -> field, p_origin, speaker(a),
                               n.reason, nullif(n.value - t.writes, '{}'), t.task_key, a.annotation_id)
                   AS version
          FROM unnest(p_task_keys, p_annotation_ids, p_values, p_reasons)
               n(task_key, annotation_id, value, reason)
          JOIN tasks t USING (task_key) JOIN annotations a USING (annotation_id)
          JOIN samples s USING (sample_id)
          CROSS JOIN unnest(t.writes) field
         WHERE n.value ? field),
    now_current AS (
        SELECT sample_id, jsonb_object_agg(field, value) AS fields, jsonb_object_agg(field, version) AS held
          FROM written GROUP BY 1)
    UPDATE samples s SET fields = s.fields || n.fields, held = s.held || n.held, updated_at = now(),
           upstream = nullif(coalesce(s.upstream, s.fields), s.fields || n.fields)
      FROM now_current n WHERE s.sample_id = n.sample_id;
    PERFORM writing_of_ours(false);
    UPDATE annotations SET superseded_at = NULL
     WHERE annotation_id = ANY (p_annotation_ids) AND superseded_at IS NOT NULL;
END $$;

-- What this task gave is current no longer, visibly: what upstream says is. The value stays in the history.
CREATE OR REPLACE FUNCTION release_fields(t tasks, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s samples;
    v_field text;
    v_upstream jsonb;
BEGIN
    FOREACH v_field IN ARRAY t.writes LOOP
        SELECT * INTO STRICT s FROM samples WHERE sample_id = t.sample_id FOR UPDATE;
        CONTINUE WHEN NOT holds(t, s, v_field);
        v_upstream := coalesce(s.upstream, s.fields) -> v_field;
        PERFORM append_revision(s.sample_id, v_field, NULL, v_upstream, 'upstream', s.source, p_reason, NULL,
                                t.task_key, t.accepted_annotation_id);
        PERFORM set_field(s.sample_id, v_field, v_upstream, NULL);
    END LOOP;
    UPDATE tasks
       SET accepted_annotation_id = NULL, accepted_hash = NULL, settled_version = NULL, judged_from = NULL
     WHERE task_key = t.task_key;
END $$;

-- A task of which nothing stands any more is at work again, unless another task took its place meanwhile.
CREATE OR REPLACE FUNCTION reopen_task(t tasks) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (other_at_work(t)).task_key IS NOT NULL THEN
        PERFORM end_task(t.task_key, 'cancelled');
        RETURN;
    END IF;
    PERFORM note_change();
    UPDATE tasks SET state = CASE WHEN has_answers(t) THEN 'annotated' ELSE 'open' END, finished_at = NULL
     WHERE task_key = t.task_key;
    PERFORM lock_task(t);
END $$;

-- An empty answer is none: nobody has said anything of the task.
CREATE OR REPLACE FUNCTION has_answers(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM annotations a
                    WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled
                      AND NOT a.says_nothing)
$$;

-- Decides one task by what its annotations say now. Answers what became of it: accepted, conflicted,
-- withdrawn, annotated (has answers, not enough or not agreed), open, or NULL: as it was.
CREATE OR REPLACE FUNCTION settle_task(p_task_key uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t tasks;
    s samples;
    a annotations;
    c conflicts;
    v_seen tasks;
    v_moved jsonb;
BEGIN
    SELECT * INTO t FROM tasks WHERE task_key = p_task_key;
    SELECT * INTO STRICT s FROM samples WHERE sample_id = t.sample_id FOR UPDATE;
    SELECT * INTO t FROM tasks WHERE task_key = p_task_key FOR UPDATE;
    IF t.state IN ('claimed', 'cancelled') THEN
        RETURN NULL;
    END IF;
    IF t.is_gold_probe THEN
        RETURN settle_probe(t);
    END IF;
    a := chosen_annotation(t);
    SELECT * INTO c FROM conflicts WHERE task_key = t.task_key ORDER BY conflict_id DESC LIMIT 1;
    IF a.annotation_id IS NULL THEN
        RETURN nothing_chosen(t, c);
    END IF;
    IF t.accepted_annotation_id = a.annotation_id AND t.accepted_hash = a.result_hash THEN
        RETURN edit_taken_back(t, c);
    END IF;
    IF t.state = 'resolved' AND c.status = 'resolved' AND c.annotation_id = a.annotation_id
       AND c.result_hash = a.result_hash THEN
        RETURN NULL;
    END IF;
    v_seen := as_seen(t, s, a);
    v_moved := moved_fields(v_seen, s, a.value);
    IF v_moved <> '{}' OR c.status = 'open' AND NOT c.automatic THEN
        RETURN open_conflict(v_seen, s, a, v_moved);
    END IF;
    IF c.status = 'open' THEN
        PERFORM resolve_human_wins(c.conflict_id, 'lsloop', 'nothing is in dispute any more');
        RETURN 'accepted';
    END IF;
    PERFORM write_revisions(
        ARRAY[t.task_key], ARRAY[a.annotation_id], ARRAY[a.value], 'human',
        ARRAY[CASE WHEN t.accepted_annotation_id = a.annotation_id THEN 'edited after acceptance'
                   WHEN t.accepted_annotation_id IS NOT NULL THEN 'another annotation speaks now' END]);
    UPDATE tasks SET judged_from = nullif(v_seen.base, base)
     WHERE task_key = t.task_key AND judged_from IS DISTINCT FROM nullif(v_seen.base, base);
    PERFORM end_task(t.task_key, 'accepted', a.annotation_id);
    RETURN 'accepted';
END $$;

-- Decides several tasks; answers how many became what. Most are answered for the first time with nothing in
-- the way: those are taken together, at a fraction of what one by one costs, and where settle_task would do
-- the same.
CREATE OR REPLACE FUNCTION settle_tasks(p_task_keys uuid[]) RETURNS TABLE (outcome text, settled bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_plain uuid[];
    v_chosen bigint[];
    v_values jsonb[];
BEGIN
    PERFORM 1 FROM samples s WHERE s.sample_id IN (
        SELECT t.sample_id FROM tasks t WHERE t.task_key = ANY (p_task_keys)) ORDER BY s.sample_id FOR UPDATE;
    PERFORM hold_tasks(p_task_keys);
    SELECT array_agg(t.task_key), array_agg(a.annotation_id), array_agg(a.value)
      INTO v_plain, v_chosen, v_values
      FROM alone_and_undecided(p_task_keys) t JOIN samples s USING (sample_id)
     CROSS JOIN chosen_annotation(t) a
     WHERE a.annotation_id IS NOT NULL AND moved_fields(t, s, a.value) = '{}';
    PERFORM write_revisions(v_plain, v_chosen, v_values, 'human');
    PERFORM end_tasks(v_plain, 'accepted', v_chosen);
    RETURN QUERY
    SELECT o.outcome, count(*) FROM (
        SELECT 'accepted' AS outcome FROM unnest(v_plain)
        UNION ALL
        SELECT settle_task(k.task_key) FROM (
            SELECT t.task_key FROM (SELECT unnest(p_task_keys) EXCEPT SELECT unnest(v_plain)) others(task_key)
              JOIN tasks t USING (task_key) ORDER BY t.sample_id, t.task_key) k) o
     WHERE o.outcome IS NOT NULL GROUP BY 1;
END $$;

-- Those of some tasks that are at work, of which nothing was accepted or disputed yet, each the only one of
-- its sample, and that never showed anything else.
CREATE OR REPLACE FUNCTION alone_and_undecided(p_task_keys uuid[]) RETURNS SETOF tasks
LANGUAGE sql STABLE AS $$
    WITH given AS MATERIALIZED (SELECT t FROM unnest(p_task_keys) k(task_key) JOIN tasks t USING (task_key))
    SELECT (t).* FROM (SELECT t, count(*) OVER (PARTITION BY (t).sample_id) AS of_sample FROM given) g
     WHERE of_sample = 1 AND (t).state IN ('open', 'annotated') AND (t).accepted_annotation_id IS NULL
       AND NOT (t).is_gold_probe AND (t).adjudicates IS NULL
       AND NOT EXISTS (SELECT FROM conflicts c WHERE c.task_key = (t).task_key)
       AND NOT EXISTS (SELECT FROM earlier_bases e WHERE e.task_key = (t).task_key)
$$;

-- No annotation speaks for the task: one that was accepted and is gone takes its value with it, and a
-- conflict is about nothing any more.
CREATE OR REPLACE FUNCTION nothing_chosen(t tasks, c conflicts) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_why text := why_nothing_speaks(coalesce(t.accepted_annotation_id, c.annotation_id));
BEGIN
    IF accepted_stands(t) THEN
        RETURN edit_taken_back(t, c);
    END IF;
    IF t.accepted_annotation_id IS NULL AND c.status IS DISTINCT FROM 'open' THEN
        IF t.state = 'parked' THEN
            PERFORM await_annotations(t);
        END IF;
        RETURN await_answers(t.task_key);
    END IF;
    IF c.status = 'open' THEN
        PERFORM withdraw_conflict(c, v_why);
    END IF;
    PERFORM release_fields(t, v_why);
    PERFORM reopen_task(t);
    PERFORM await_answers(t.task_key);
    RETURN 'withdrawn';
END $$;

CREATE OR REPLACE FUNCTION why_nothing_speaks(p_annotation_id bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN a.deleted_at IS NOT NULL THEN 'its annotation was deleted in Label Studio'
                WHEN a.was_cancelled THEN 'its annotation was taken back: the task was skipped'
                WHEN a.says_nothing THEN 'its annotation was changed, and says nothing now'
                WHEN a.value IS NULL THEN 'its annotation was changed, and cannot be understood'
                ELSE 'its annotation is held for review, or others no longer agree with it' END
      FROM annotations a WHERE a.annotation_id = p_annotation_id
$$;

-- Whether the annotation that was accepted is still there, word for word, and nothing speaks against it.
CREATE OR REPLACE FUNCTION accepted_stands(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM counted_answers(t) a
                    WHERE a.annotation_id = t.accepted_annotation_id AND a.result_hash = t.accepted_hash)
           AND NOT disagreed(t)
$$;

CREATE OR REPLACE FUNCTION edit_taken_back(t tasks, c conflicts) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF c.status IS DISTINCT FROM 'open' THEN
        RETURN NULL;
    END IF;
    PERFORM withdraw_conflict(c, 'the edit was taken back');
    PERFORM end_task(t.task_key, 'accepted');
    RETURN 'accepted';
END $$;

-- A parked task of which an answer came in after all is at work again.
CREATE OR REPLACE FUNCTION await_annotations(t tasks) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_state text := CASE WHEN has_answers(t) THEN 'annotated' ELSE 'open' END;
BEGIN
    IF v_state = t.state OR t.state NOT IN ('open', 'annotated', 'parked') THEN
        RETURN NULL;
    END IF;
    IF t.state = 'parked' AND (v_state = 'open' OR (other_at_work(t)).task_key IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM reopen_task(t);
    RETURN v_state;
END $$;
