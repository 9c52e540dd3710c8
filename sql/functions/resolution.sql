-- Resolutions: the four ways to decide a conflict, each one call and one transaction, and the way back. Who
-- decides may pass the digest of what they saw (p_seen): the call refuses when either side has moved since.

-- The open conflict, as it stands now, and what it is about; all of it is locked until the transaction ends.
CREATE OR REPLACE FUNCTION take_conflict(
    p_conflict_id bigint, p_seen text, OUT c conflicts, OUT t tasks, OUT s samples, OUT a annotations
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT * INTO c FROM conflicts WHERE conflict_id = p_conflict_id;
    IF NOT FOUND THEN
        PERFORM refuse(format('there is no conflict %s', p_conflict_id),
                       '`lsloop conflicts list --status all` shows those there are.');
    END IF;
    SELECT * INTO STRICT s FROM samples WHERE sample_id = c.sample_id FOR UPDATE;
    SELECT * INTO STRICT t FROM tasks WHERE task_key = c.task_key FOR UPDATE;
    SELECT * INTO STRICT c FROM conflicts WHERE conflict_id = p_conflict_id FOR UPDATE;
    IF c.status <> 'open' THEN
        PERFORM refuse(
            format('conflict %s is not open: %s by %s', p_conflict_id, coalesce(c.resolution, c.status),
                   c.actor),
                       '`lsloop conflicts undo` takes a decision back.');
    END IF;
    SELECT * INTO STRICT a FROM annotations WHERE annotation_id = c.annotation_id FOR SHARE;
    c := conflict_now(c);
    IF p_seen <> digest_of(c) THEN
        PERFORM refuse(format('conflict %s moved on since it was looked at', p_conflict_id),
                       'Look at it again, then decide.');
    END IF;
END $$;

-- What a resolution may change, for undo.
CREATE OR REPLACE FUNCTION state_of(p_task_key uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'held', only_fields(s.held, t.writes), 'state', t.state, 'settled_version', t.settled_version,
        'judged_from', t.judged_from,
        'accepted_annotation_id', t.accepted_annotation_id, 'accepted_hash', t.accepted_hash,
        'finished_at', t.finished_at, 'waits_for', t.waits_for,
        'decides', CASE WHEN t.adjudicates IS NOT NULL THEN state_of(t.adjudicates) END,
        'lock_id', (SELECT lock_id FROM locks l WHERE l.task_key = t.task_key AND l.released_at IS NULL))
      FROM tasks t JOIN samples s USING (sample_id) WHERE t.task_key = p_task_key
$$;

DROP FUNCTION IF EXISTS close_conflict(conflicts, text, text, text, jsonb, uuid);
CREATE OR REPLACE FUNCTION close_conflict(
    c conflicts, p_resolution text, p_actor text, p_reason text, p_before jsonb,
    p_reflow_sample_id uuid DEFAULT NULL, p_accepted_annotation_id bigint DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM end_task(c.task_key, 'resolved', p_accepted_annotation_id);
    UPDATE conflicts
       SET status = 'resolved', resolution = p_resolution, decided_because = p_reason, actor = p_actor,
           resolved_at = now(), reflow_sample_id = p_reflow_sample_id, fields = c.fields, moved = c.moved,
           base = c.base, ours = c.ours, theirs = c.theirs, result_hash = c.result_hash
     WHERE conflict_id = c.conflict_id;
    PERFORM write_audit(p_actor, p_resolution, 'conflict ' || c.conflict_id, p_reason,
                        jsonb_build_object('before', p_before, 'after', state_of(c.task_key)));
END $$;

CREATE OR REPLACE FUNCTION decided(c conflicts, p_resolution text, p_actor text, p_reason text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('conflict %s: %s by %s', c.conflict_id, p_resolution, p_actor)
           || coalesce(': ' || p_reason, '')
$$;

-- The annotation becomes the revision; the other side stays in the history.
CREATE OR REPLACE FUNCTION resolve_human_wins(p_conflict_id bigint, p_actor text, p_reason text DEFAULT NULL,
                                              p_seen text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v record := take_conflict(p_conflict_id, p_seen);
    v_before jsonb := state_of((v.t).task_key);
BEGIN
    PERFORM write_revisions(ARRAY[(v.t).task_key], ARRAY[(v.a).annotation_id], ARRAY[(v.a).value], 'human',
                            ARRAY[decided(v.c, 'human_wins', p_actor, p_reason)]);
    UPDATE tasks SET settled_version = (v.s).sync_version, judged_from = nullif((v.c).base, base)
     WHERE task_key = (v.t).task_key;
    PERFORM close_conflict(v.c, 'human_wins', p_actor, p_reason, v_before, NULL, (v.a).annotation_id);
END $$;

-- The other side stands; the annotation stays in the history, marked as superseded.
CREATE OR REPLACE FUNCTION resolve_crawler_wins(p_conflict_id bigint, p_actor text,
                                                p_reason text DEFAULT NULL, p_seen text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v record := take_conflict(p_conflict_id, p_seen);
    v_before jsonb := state_of((v.t).task_key);
BEGIN
    PERFORM release_fields(v.t, decided(v.c, 'crawler_wins', p_actor, p_reason));
    UPDATE annotations SET superseded_at = now() WHERE annotation_id = (v.a).annotation_id;
    PERFORM close_conflict(v.c, 'crawler_wins', p_actor, p_reason, v_before);
END $$;

-- p_value, which the task type merged from base, annotation and the other side, becomes the revision.
CREATE OR REPLACE FUNCTION resolve_merged(
    p_conflict_id bigint, p_actor text, p_value jsonb, p_reason text DEFAULT NULL, p_seen text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v record := take_conflict(p_conflict_id, p_seen);
    v_before jsonb := state_of((v.t).task_key);
BEGIN
    IF NOT (v.c).fields <@ (v.t).writes OR NOT p_value ?& (v.t).writes THEN
        PERFORM refuse(
            format('conflict %s cannot be merged: what the annotator judged from has changed', p_conflict_id),
                       'Decide with human_wins, crawler_wins or pending_reflow.');
    END IF;
    PERFORM write_revisions(ARRAY[(v.t).task_key], ARRAY[(v.a).annotation_id], ARRAY[p_value], 'merged',
                            ARRAY[decided(v.c, 'merged', p_actor, p_reason)]);
    PERFORM close_conflict(v.c, 'merged', p_actor, p_reason, v_before, NULL, (v.a).annotation_id);
END $$;

-- The other side stands, and goes round again in a sample of its own, with the annotation to begin from.
-- Where it is going round already, because the answer was edited after such a decision, that is where the
-- edit goes, too.
CREATE OR REPLACE FUNCTION resolve_pending_reflow(
    p_conflict_id bigint, p_actor text, p_reason text DEFAULT NULL, p_seen text DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v record := take_conflict(p_conflict_id, p_seen);
    v_before jsonb := state_of((v.t).task_key);
    v_going samples := reflow_of((v.t).sample_id, (v.t).task_type);
    v_child uuid := v_going.sample_id;
BEGIN
    PERFORM check_reflow(v.t, v_going);
    PERFORM release_fields(v.t, decided(v.c, 'pending_reflow', p_actor, p_reason));
    IF v_child IS NULL THEN
        v_child := make_reflow_sample((v.t).sample_id, (v.t).task_type, (v.t).writes, (v.a).value, p_actor);
    ELSE
        v_before := v_before || jsonb_build_object(
            'went_round', v_child, 'began_from', begin_from(v_child, (v.a).value));
    END IF;
    PERFORM close_conflict(v.c, 'pending_reflow', p_actor, p_reason, v_before, v_child);
    RETURN v_child;
END $$;

-- Raises when somebody is at the new content already, or is done with it.
CREATE OR REPLACE FUNCTION check_reflow(t tasks, p_going samples) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_other tasks := other_at_work(t);
BEGIN
    IF v_other.task_key IS NOT NULL THEN
        PERFORM refuse(
            format('the new content is at work already, in task %s',
                   coalesce(v_other.ls_task_id::text, v_other.task_key::text)),
                       'Decide with human_wins or crawler_wins.');
    END IF;
    IF p_going.sample_id IS NOT NULL AND was_reviewed(p_going) THEN
        PERFORM refuse(format('the new content went round already, and %s was reviewed', p_going.external_id),
                       'Decide with human_wins or crawler_wins.');
    END IF;
END $$;
