-- Reflow: a sample whose content changed under an annotator's hands goes round again, as a child with the new
-- content and the annotator's work to begin from. While the child lives, it stands in for its parent.

CREATE OR REPLACE FUNCTION make_reflow_sample(p_sample_id uuid, p_task_type text, p_writes text[],
                                              p_value jsonb, p_actor text)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    s samples;
    v_child uuid;
    v_field text;
    v_number bigint;
BEGIN
    SELECT * INTO STRICT s FROM samples WHERE sample_id = p_sample_id;
    IF s.deleted_at IS NOT NULL THEN
        PERFORM refuse(
            format('sample %s is no longer upstream: there is no new content to annotate', s.external_id),
                       'Decide with human_wins or crawler_wins.');
    END IF;
    SELECT count(*) + 1 INTO v_number FROM samples WHERE parent_sample_id = p_sample_id;
    -- It takes its parent's place among the oldest, and goes before others by priority.
    INSERT INTO samples (arrival, source, external_id, fields, upstream, media_path, media_md5, media_bytes,
                         media_mtime_ns, media_type, duration, width, height, frame_rate, frames, pages,
                         media_problem, group_key, split, priority, dvc_commit_hash, parent_sample_id,
                         only_task_type) OVERRIDING SYSTEM VALUE
    VALUES (s.arrival, s.source, s.external_id || '#reflow-' || v_number, s.fields, s.upstream, s.media_path,
            s.media_md5, s.media_bytes, s.media_mtime_ns, s.media_type, s.duration, s.width, s.height,
            s.frame_rate, s.frames, s.pages, s.media_problem, s.group_key, s.split,
            least(s.priority::bigint + 100, 2147483647), s.dvc_commit_hash, s.sample_id, p_task_type)
    RETURNING sample_id INTO v_child;
    FOR v_field IN SELECT jsonb_object_keys(s.held) LOOP
        PERFORM append_revision(v_child, v_field, NULL, s.fields -> v_field, 'human', p_actor,
                                format('version %s of %s', s.held ->> v_field, s.external_id));
        PERFORM set_field(v_child, v_field, s.fields -> v_field, 1);
    END LOOP;
    INSERT INTO predictions (sample_id, task_type, model_version, value, sync_version)
    SELECT v_child, p_task_type, 'human-reflow', p_value, 1
     WHERE p_value IS NOT NULL AND p_task_type IS NOT NULL;
    RETURN v_child;
END $$;

-- The child in which a sample goes round for a task type, if one lives.
CREATE OR REPLACE FUNCTION reflow_of(p_sample_id uuid, p_task_type text) RETURNS samples
LANGUAGE sql STABLE AS $$
    SELECT s::samples FROM samples s
     WHERE s.parent_sample_id = p_sample_id AND s.deleted_at IS NULL
       AND s.only_task_type IS NOT DISTINCT FROM p_task_type
     ORDER BY was_reviewed(s), s.arrival DESC, s.external_id LIMIT 1
$$;

CREATE OR REPLACE FUNCTION was_reviewed(s samples) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tasks t
                    WHERE t.sample_id = s.sample_id AND t.state IN ('accepted', 'resolved'))
$$;

-- What its annotator begins from; answers what that was before. Only who has not been sent it yet is shown
-- the new value.
CREATE OR REPLACE FUNCTION begin_from(p_child uuid, p_value jsonb) RETURNS jsonb LANGUAGE sql AS $$
    UPDATE predictions p SET value = coalesce(p_value, p.value)
      FROM (SELECT prediction_id, value FROM predictions
             WHERE sample_id = p_child AND model_version = 'human-reflow' FOR UPDATE) was
     WHERE p.prediction_id = was.prediction_id
    RETURNING was.value
$$;

-- For any program: sends a sample round again. An open conflict of the sample is thereby decided
-- (pending_reflow); without one, the last answer is what the annotator begins from. Asked twice, it answers
-- the child that is still under way.
DROP FUNCTION IF EXISTS create_conflict_sample(uuid, text, text);
CREATE FUNCTION create_conflict_sample(p_original_sample_id uuid, p_reason text,
                                       p_task_type text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_conflict bigint;
    v_going samples;
    v_child uuid;
    v record;
BEGIN
    PERFORM 1 FROM samples WHERE sample_id = p_original_sample_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse(format('there is no sample %s', p_original_sample_id));
    END IF;
    SELECT c.conflict_id INTO v_conflict FROM conflicts c JOIN tasks t USING (task_key)
     WHERE c.sample_id = p_original_sample_id AND c.status = 'open'
       AND t.task_type = coalesce(p_task_type, t.task_type)
     ORDER BY c.conflict_id LIMIT 1;
    IF FOUND THEN
        RETURN resolve_pending_reflow(v_conflict, session_user::text, p_reason);
    END IF;
    SELECT t.task_type, t.writes, a.value INTO v FROM annotations a JOIN tasks t USING (task_key)
     WHERE t.sample_id = p_original_sample_id AND t.task_type = coalesce(p_task_type, t.task_type)
       AND a.value IS NOT NULL
     ORDER BY a.ls_updated_at DESC, a.annotation_id DESC LIMIT 1;
    v_going := reflow_of(p_original_sample_id, coalesce(p_task_type, v.task_type));
    IF v_going.sample_id IS NOT NULL AND NOT was_reviewed(v_going) THEN
        RETURN v_going.sample_id;
    END IF;
    v_child := make_reflow_sample(p_original_sample_id, coalesce(p_task_type, v.task_type), v.writes, v.value,
                                  session_user::text);
    PERFORM write_audit(session_user::text, 'reflow', 'sample ' || p_original_sample_id, p_reason,
                        jsonb_build_object('reflow_sample_id', v_child));
    RETURN v_child;
END $$;

-- Samples and their children are always locked in this order: nobody waits in a circle.
CREATE OR REPLACE FUNCTION hold_with_children(p_sample_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM samples WHERE sample_id IN (
        WITH RECURSIVE family AS (
            SELECT unnest(p_sample_ids) AS sample_id
            UNION SELECT c.sample_id FROM family f JOIN samples c ON c.parent_sample_id = f.sample_id)
        SELECT family.sample_id FROM family) ORDER BY sample_id FOR UPDATE;
END $$;

-- Children have their parent's content: what upstream says of it, and its media.
CREATE OR REPLACE FUNCTION follow_parents(p_sample_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_children uuid[] := ARRAY(SELECT sample_id FROM samples
                                WHERE parent_sample_id = ANY (p_sample_ids) AND deleted_at IS NULL
                                ORDER BY sample_id);
BEGIN
    IF v_children = '{}' THEN
        RETURN;
    END IF;
    PERFORM change_upstream(c.sample_id, coalesce(p.upstream, p.fields), p.media_path, p.media_md5, p.source)
       FROM samples c JOIN samples p ON p.sample_id = c.parent_sample_id WHERE c.sample_id = ANY (v_children);
    PERFORM writing_of_ours(true);
    UPDATE samples c
       SET media_path = p.media_path, media_bytes = p.media_bytes, media_mtime_ns = p.media_mtime_ns,
           media_type = p.media_type, duration = p.duration, width = p.width, height = p.height,
           frame_rate = p.frame_rate, frames = p.frames, pages = p.pages, media_problem = p.media_problem,
           deleted_at = p.deleted_at
      FROM samples p WHERE p.sample_id = c.parent_sample_id AND c.sample_id = ANY (v_children)
       AND (c.media_path, c.media_bytes, c.media_mtime_ns, c.media_type, c.duration, c.width, c.height,
            c.frame_rate, c.frames, c.pages, c.media_problem, c.deleted_at) IS DISTINCT FROM
           (p.media_path, p.media_bytes, p.media_mtime_ns, p.media_type, p.duration, p.width, p.height,
            p.frame_rate, p.frames, p.pages, p.media_problem, p.deleted_at);
    PERFORM writing_of_ours(false);
    PERFORM follow_parents(v_children);
END $$;
