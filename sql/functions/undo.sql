-- Undo: a decided conflict is open again and everything is as it was before, unless somebody has built on the
-- decision.

-- Raises with what stands in the way, if anything does.
CREATE OR REPLACE FUNCTION check_undo(c conflicts, t tasks, s samples, p_before jsonb, p_after jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_other tasks := other_at_work(t);
    v_holder locks;
    v_child text;
BEGIN
    IF t.state <> 'resolved'
       OR EXISTS (SELECT FROM conflicts n
                   WHERE n.task_key = t.task_key AND n.conflict_id > c.conflict_id) THEN
        PERFORM refuse(
            format('conflict %s cannot be undone: its task has moved on and is %s now', c.conflict_id,
                   t.state));
    END IF;
    IF only_fields(s.held, t.writes) <> p_after -> 'held' THEN
        PERFORM refuse(
            format('conflict %s cannot be undone: somebody accepted a newer value since', c.conflict_id));
    END IF;
    IF p_before ->> 'state' = 'conflicted' AND v_other.task_key IS NOT NULL THEN
        PERFORM refuse(
            format('conflict %s cannot be undone: its sample is at work again, in task %s', c.conflict_id,
                              coalesce(v_other.ls_task_id::text, v_other.task_key::text)),
                       'Delete that task in Label Studio and run `lsloop pull`, then undo.');
    END IF;
    SELECT * INTO v_holder FROM locks l
     WHERE l.sample_id = s.sample_id AND l.released_at IS NULL
       AND (l.task_type IS NULL OR l.task_type = t.task_type)
       AND (l.expires_at IS NULL OR l.expires_at > now());
    IF FOUND AND p_before ->> 'lock_id' IS NOT NULL THEN
        PERFORM refuse(
            format('conflict %s cannot be undone: %s holds its sample', c.conflict_id, v_holder.locked_by),
                       format('Wait for it, or see `lsloop locks --release %s`.', v_holder.lock_id));
    END IF;
    SELECT coalesce(w.ls_task_id::text, w.task_key::text) INTO v_child FROM tasks w
     WHERE w.sample_id = c.reflow_sample_id AND w.state <> 'cancelled';
    IF FOUND AND NOT p_before ? 'went_round' THEN
        PERFORM refuse(
            format('conflict %s cannot be undone: its content went round again, in task %s', c.conflict_id,
                   v_child),
                       'Delete that task in Label Studio and run `lsloop pull`, then undo.');
    END IF;
END $$;

-- A field as it was held before, or as upstream has it: a revision that says so.
CREATE OR REPLACE FUNCTION restore_field(s samples, p_field text, p_version integer, p_task_key uuid,
                                         p_actor text, p_reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r revisions;
    v_upstream jsonb := coalesce(s.upstream, s.fields) -> p_field;
BEGIN
    IF p_version IS NULL THEN
        PERFORM append_revision(s.sample_id, p_field, NULL, v_upstream, 'upstream', p_actor, p_reason, NULL,
                                p_task_key);
        PERFORM set_field(s.sample_id, p_field, v_upstream, NULL);
        RETURN;
    END IF;
    SELECT * INTO STRICT r FROM revisions
     WHERE sample_id = s.sample_id AND field = p_field AND version = p_version;
    PERFORM append_revision(s.sample_id, p_field, NULL, r.value, r.origin, p_actor, p_reason, r.remarks,
                            r.task_key, r.annotation_id);
    PERFORM set_field(s.sample_id, p_field, r.value, p_version);
END $$;

-- A task as it was before, with its lock; and the task that it decides, if it is an adjudication.
CREATE OR REPLACE FUNCTION restore_task(t tasks, p_before jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks
       SET state = p_before ->> 'state', judged_from = nullif(p_before -> 'judged_from', 'null'),
           settled_version = (p_before ->> 'settled_version')::integer,
           accepted_annotation_id = (p_before ->> 'accepted_annotation_id')::bigint,
           waits_for = p_before ->> 'waits_for', accepted_hash = p_before ->> 'accepted_hash',
           finished_at = (p_before ->> 'finished_at')::timestamptz
     WHERE task_key = t.task_key;
    UPDATE locks SET released_at = NULL WHERE lock_id = (p_before ->> 'lock_id')::bigint;
    PERFORM restore_task(d, p_before -> 'decides') FROM tasks d WHERE d.task_key = t.adjudicates;
END $$;

-- Takes the decision of a conflict back; answers which it was. No automatic strategy decides the conflict
-- again.
CREATE OR REPLACE FUNCTION undo_resolution(p_conflict_id bigint, p_actor text, p_reason text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c conflicts;
    t tasks;
    s samples;
    v_before jsonb;
    v_after jsonb;
    v_field text;
BEGIN
    SELECT * INTO c FROM conflicts WHERE conflict_id = p_conflict_id;
    IF NOT FOUND THEN
        PERFORM refuse(format('there is no conflict %s', p_conflict_id),
                       '`lsloop conflicts list --status all` shows those there are.');
    END IF;
    PERFORM hold_with_children(ARRAY[c.sample_id]);
    SELECT * INTO STRICT s FROM samples WHERE sample_id = c.sample_id;
    SELECT * INTO STRICT t FROM tasks WHERE task_key = c.task_key FOR UPDATE;
    SELECT * INTO STRICT c FROM conflicts WHERE conflict_id = p_conflict_id FOR UPDATE;
    IF c.status <> 'resolved' THEN
        PERFORM refuse(format('conflict %s is %s: there is no decision to undo', p_conflict_id, c.status));
    END IF;
    SELECT detail -> 'before', detail -> 'after' INTO STRICT v_before, v_after FROM audit
     WHERE about = 'conflict ' || p_conflict_id AND action = c.resolution ORDER BY audit_id DESC LIMIT 1;
    PERFORM check_undo(c, t, s, v_before, v_after);

    FOREACH v_field IN ARRAY t.writes LOOP
        CONTINUE WHEN v_before -> 'held' -> v_field IS NOT DISTINCT FROM v_after -> 'held' -> v_field;
        SELECT * INTO STRICT s FROM samples WHERE sample_id = c.sample_id;
        PERFORM restore_field(s, v_field, (v_before -> 'held' ->> v_field)::integer, t.task_key, p_actor,
                              format('undo of conflict %s, %s', p_conflict_id, c.resolution));
    END LOOP;
    PERFORM restore_task(t, v_before);
    UPDATE annotations SET superseded_at = NULL
     WHERE annotation_id = c.annotation_id AND c.resolution = 'crawler_wins';
    IF v_before ? 'went_round' THEN
        PERFORM begin_from(c.reflow_sample_id, v_before -> 'began_from');
    ELSE
        UPDATE samples SET deleted_at = now() WHERE sample_id = c.reflow_sample_id;
    END IF;
    UPDATE conflicts
       SET status = 'open', resolution = NULL, decided_because = NULL, actor = NULL, resolved_at = NULL,
           reflow_sample_id = NULL, automatic = false
     WHERE conflict_id = p_conflict_id;
    PERFORM look_again(c.sample_id);
    PERFORM write_audit(p_actor, 'undo', 'conflict ' || p_conflict_id, p_reason,
                        jsonb_build_object('undone', c.resolution, 'reflow_sample_id', c.reflow_sample_id));
    RETURN c.resolution;
END $$;
