-- Conflicts: what moved while people were at work, from both sides.

-- A task as the annotator saw it: its base is the one that it showed when the annotation was begun. A page
-- that was open while the task was refreshed in place still shows what was there before; where it may have
-- been either, the one from which something moved since, for that is what the annotator may not have seen. A
-- second copy of a task is not refreshed.
DROP FUNCTION IF EXISTS as_seen(tasks, annotations);
CREATE OR REPLACE FUNCTION as_seen(t tasks, s samples, a annotations) RETURNS tasks
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_begun timestamptz :=
        a.ls_created_at - make_interval(secs => least(greatest(coalesce(a.lead_time, 0), 0), 31536000));
    v_first tasks;
    b record;
BEGIN
    IF NOT EXISTS (SELECT FROM earlier_bases e WHERE e.task_key = t.task_key) THEN
        RETURN t;
    END IF;
    FOR b IN SELECT * FROM bases_of(t)
              WHERE since <= v_begun AND until > v_begun OR a.ls_task_id <> t.ls_task_id ORDER BY until LOOP
        t.base := b.base;
        t.judged_from := NULL;
        t.sync_version := b.sync_version;
        IF moved_fields(t, s, a.value) <> '{}' OR source_moved(t, s) THEN
            RETURN t;
        END IF;
        v_first := coalesce(v_first, t);
    END LOOP;
    RETURN v_first;
END $$;

-- Whether people changed what this task's answer was judged from, through a task of another task type: a
-- transcript that was corrected after (or while) its translation was made. Nobody's value is overwritten by
-- accepting the answer, so that is no conflict; but it is the answer to another question, so it is not
-- exported, and the sample is sent again.
CREATE OR REPLACE FUNCTION source_moved(t tasks, s samples) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT t.reads <> '{media}' AND EXISTS (
        SELECT FROM unnest(t.reads) field, coalesce(t.judged_from, t.base) seen
         WHERE field <> 'media' AND field <> ALL (t.writes)
           AND s.held -> field IS DISTINCT FROM seen -> 'held' -> field
           AND s.fields -> field IS DISTINCT FROM seen -> 'fields' -> field)
$$;

-- Whether people gave one of these fields its value after that moment: what was made of the sample before is
-- of another text.
CREATE OR REPLACE FUNCTION corrected_since(s samples, p_names text[], p_since timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT s.held ?| p_names AND EXISTS (
        SELECT FROM revisions r
         WHERE r.sample_id = s.sample_id AND r.field = ANY (p_names)
           AND r.version = (s.held ->> r.field)::integer
           AND r.created_at > p_since)
$$;

-- Everything that a task showed, and from when to when somebody may have begun from it.
CREATE OR REPLACE FUNCTION bases_of(t tasks)
RETURNS TABLE (since timestamptz, until timestamptz, base jsonb, sync_version integer)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(lag(b.ended_at) OVER (ORDER BY b.until), '-infinity'), b.until, b.base, b.sync_version
      FROM (SELECT e.until, coalesce(e.ended_at, e.until) AS ended_at, e.base, e.sync_version
              FROM earlier_bases e
             WHERE e.task_key = t.task_key
            UNION ALL SELECT 'infinity', 'infinity', t.base, t.sync_version) b
$$;

-- The fields in which accepting this task would overwrite what the annotator has not seen, and who moved each
-- of them: upstream, after the task was sent, or people through another task.
DROP FUNCTION IF EXISTS moved_fields(tasks, samples, jsonb);
CREATE FUNCTION moved_fields(t tasks, s samples, p_answer jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_object_agg(field, mover), '{}') FROM (
        SELECT DISTINCT ON (field) field, mover FROM (
            SELECT key AS field, 'upstream' AS mover FROM jsonb_each_text(s.field_versions)
             WHERE key = ANY (t.reads || t.writes)
               AND value::integer > greatest(t.sync_version, t.settled_version)
               AND CASE
                   WHEN key = 'media' THEN s.media_md5 IS DISTINCT FROM t.base ->> 'media_md5'
                   -- Of what is only read, the current value counts: people may hold it against upstream.
                   WHEN NOT key = ANY (t.writes)
                   THEN s.fields -> key IS DISTINCT FROM t.base -> 'fields' -> key
                   -- Upstream came to say just what was sent, or what is answered: nothing to decide. Nor is
                   -- there where this very task's answer was accepted before: then upstream's change was set
                   -- aside for it.
                   ELSE coalesce(s.upstream, s.fields) -> key IS DISTINCT FROM t.base -> 'fields' -> key
                        AND coalesce(s.upstream, s.fields) -> key IS DISTINCT FROM p_answer -> key
                        AND NOT (s.held ? key AND holds_alone(t, s, key)) END
            UNION ALL
            SELECT r.field, 'people' FROM revisions r
             WHERE s.held <> '{}' AND r.sample_id = s.sample_id AND r.field = ANY (t.writes)
               AND r.version = (s.held ->> r.field)::integer
               AND r.version IS DISTINCT FROM (t.base -> 'held' ->> r.field)::integer
               AND r.task_key IS DISTINCT FROM t.task_key AND r.value IS DISTINCT FROM p_answer -> r.field
        ) every_one ORDER BY field, mover) moved
$$;

-- Whether the current value is this task's annotation, and not a merge with what upstream said.
CREATE OR REPLACE FUNCTION holds_alone(t tasks, s samples, p_field text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM revisions r
                    WHERE r.sample_id = s.sample_id AND r.field = p_field
                      AND r.version = (s.held ->> p_field)::integer
                      AND r.task_key = t.task_key AND r.origin = 'human')
$$;

-- The other side: the sample as it is now, with what upstream says of the fields that upstream moved.
CREATE OR REPLACE FUNCTION their_side(t tasks, s samples, p_moved jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_set(now.side, '{fields}', (now.side -> 'fields') - names.upstream
                     || only_fields(coalesce(s.upstream, s.fields), names.upstream))
      FROM (SELECT snapshot(s, t.reads || t.writes) AS side) now,
           (SELECT coalesce(array_agg(key), '{}') AS upstream FROM jsonb_each_text(p_moved)
             WHERE value = 'upstream' AND key = ANY (t.writes)) names
$$;

-- A conflict as it stands now: while it is open, either side may move on.
CREATE OR REPLACE FUNCTION conflict_now(c conflicts) RETURNS conflicts LANGUAGE plpgsql STABLE AS $$
DECLARE
    t tasks;
    s samples;
    a annotations;
BEGIN
    IF c.status <> 'open' THEN
        RETURN c;
    END IF;
    SELECT * INTO STRICT s FROM samples WHERE sample_id = c.sample_id;
    SELECT * INTO STRICT a FROM annotations WHERE annotation_id = c.annotation_id;
    SELECT * INTO STRICT t FROM tasks WHERE task_key = c.task_key;
    -- An answer that was skipped since says nothing: its task is about to be settled, and the conflict to be
    -- withdrawn.
    IF a.value IS NULL THEN
        a.value := c.ours;
        a.result_hash := c.result_hash;
    END IF;
    t := as_seen(t, s, a);
    c.base := t.base;
    c.ours := a.value;
    c.result_hash := a.result_hash;
    c.moved := moved_fields(t, s, a.value);
    c.fields := ARRAY(SELECT jsonb_object_keys(c.moved) ORDER BY 1);
    c.theirs := their_side(t, s, c.moved);
    RETURN c;
END $$;

-- Open conflicts say what both sides say now, whoever changed the sample.
CREATE OR REPLACE FUNCTION look_again(p_sample_id uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE conflicts c
       SET fields = n.fields, moved = n.moved, base = n.base, ours = n.ours, theirs = n.theirs,
           result_hash = n.result_hash
      FROM conflicts o, conflict_now(o) n
     WHERE o.sample_id = p_sample_id AND o.status = 'open' AND c.conflict_id = o.conflict_id
$$;
CREATE OR REPLACE FUNCTION sample_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM look_again(NEW.sample_id);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER sample_moved AFTER UPDATE ON samples FOR EACH ROW
    WHEN ((OLD.fields, OLD.upstream, OLD.held, OLD.field_versions, OLD.media_path, OLD.media_md5)
          IS DISTINCT FROM (NEW.fields, NEW.upstream, NEW.held, NEW.field_versions, NEW.media_path,
                            NEW.media_md5))
    EXECUTE FUNCTION sample_moved();

-- What a decision is made on; it differs as soon as either side moved.
CREATE OR REPLACE FUNCTION digest_of(c conflicts) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT md5(jsonb_build_array(c.annotation_id, c.result_hash, c.base, c.ours, c.theirs, c.moved)::text)
$$;

-- Opens a conflict, or brings the open one up to what both sides say now.
DROP FUNCTION IF EXISTS open_conflict(tasks, samples, annotations, text[]);
CREATE OR REPLACE FUNCTION open_conflict(t tasks, s samples, a annotations, p_moved jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_fields text[] := ARRAY(SELECT jsonb_object_keys(p_moved) ORDER BY 1);
BEGIN
    UPDATE conflicts
       SET annotation_id = a.annotation_id, result_hash = a.result_hash, fields = v_fields, moved = p_moved,
           base = t.base, ours = a.value, theirs = their_side(t, s, p_moved)
     WHERE task_key = t.task_key AND status = 'open';
    IF FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO conflicts (task_key, annotation_id, sample_id, fields, moved, base, ours, theirs, result_hash,
                           reason)
    VALUES (t.task_key, a.annotation_id, s.sample_id, v_fields, p_moved, t.base, a.value,
            their_side(t, s, p_moved), a.result_hash,
            'changed after the task was sent: ' || array_to_string(v_fields, ', '));
    -- An edit of an old answer, while the sample is at work in a newer task, waits in the conflict alone.
    IF (other_at_work(t)).task_key IS NULL THEN
        UPDATE tasks SET state = 'conflicted', finished_at = NULL WHERE task_key = t.task_key;
        PERFORM lock_task(t);
    END IF;
    RETURN 'conflicted';
END $$;

-- Nobody has to decide any more: the answer is gone.
CREATE OR REPLACE FUNCTION withdraw_conflict(c conflicts, p_reason text) RETURNS void LANGUAGE sql AS $$
    UPDATE conflicts
       SET status = 'withdrawn', decided_because = p_reason, actor = 'lsloop', resolved_at = now()
     WHERE conflict_id = c.conflict_id;
    SELECT write_audit('lsloop', 'withdraw', 'conflict ' || c.conflict_id, p_reason)
$$;
