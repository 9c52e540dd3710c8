-- Locks: who holds a sample, for which task type, under which token. Any program may call these.

DROP FUNCTION IF EXISTS lock_sample_for_annotation(uuid, text, text, interval);
CREATE FUNCTION lock_sample_for_annotation(
    p_sample_id uuid, p_locked_by text, p_task_type text DEFAULT NULL,
    p_lifetime interval DEFAULT '30 minutes'
) RETURNS TABLE (success boolean, current_sync_version integer, message text, token uuid)
LANGUAGE plpgsql AS $$
DECLARE
    v_sample samples;
    v_holder locks;
    v_token uuid;
BEGIN
    -- The row lock makes takers of the same sample queue up, whatever task type they ask for.
    SELECT * INTO v_sample FROM samples s WHERE s.sample_id = p_sample_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, NULL::integer, format('there is no sample %s', p_sample_id), NULL::uuid;
        RETURN;
    END IF;
    UPDATE locks l SET released_at = now()
     WHERE l.sample_id = p_sample_id AND l.released_at IS NULL AND l.expires_at <= now();
    SELECT * INTO v_holder FROM locks l
     WHERE l.sample_id = p_sample_id AND l.released_at IS NULL
       AND (l.task_type IS NULL OR p_task_type IS NULL OR l.task_type = p_task_type)
     ORDER BY l.locked_at LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT false, v_sample.sync_version,
            format('locked by %s for %s since %s%s', v_holder.locked_by,
                   coalesce(v_holder.task_type, 'every task type'),
                   to_char(v_holder.locked_at, 'YYYY-MM-DD HH24:MI:SS TZ'),
                   CASE WHEN v_holder.expires_at IS NULL THEN ', until its task ends' ELSE '' END),
            NULL::uuid;
        RETURN;
    END IF;
    INSERT INTO locks (sample_id, task_type, locked_by, expires_at, sync_version)
    VALUES (p_sample_id, p_task_type, p_locked_by, now() + p_lifetime, v_sample.sync_version)
    RETURNING locks.token INTO v_token;
    RETURN QUERY SELECT true, v_sample.sync_version, 'locked'::text, v_token;
END $$;

DROP FUNCTION IF EXISTS renew_lock(uuid, interval);
CREATE FUNCTION renew_lock(p_token uuid, p_lifetime interval DEFAULT '30 minutes') RETURNS boolean
LANGUAGE sql AS $$
    -- A lock of a task never expires: renewing it must not give it an end.
    WITH renewed AS (
        UPDATE locks SET expires_at = CASE WHEN expires_at IS NULL THEN NULL ELSE now() + p_lifetime END
         WHERE token = p_token AND released_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        RETURNING 1)
    SELECT EXISTS (SELECT FROM renewed)
$$;

-- With a token: releases that lock. Without one: releases what lock_sample_for_annotation(sample, owner) took
-- for every task type, never the lock of a task, which ends when the task does. Answers whether anything was
-- released. p_increment_version says that the content changed. What changed in the ledger since the lock was
-- taken was counted when it was written; where nothing did, the change is one that only the next ingest can
-- see. It reads the recording again in any case.
DROP FUNCTION IF EXISTS unlock_sample(uuid, boolean, uuid);
CREATE FUNCTION unlock_sample(p_sample_id uuid, p_increment_version boolean DEFAULT false,
                              p_token uuid DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_locked integer;
BEGIN
    PERFORM 1 FROM samples WHERE sample_id = p_sample_id FOR UPDATE;
    UPDATE locks SET released_at = now()
     WHERE sample_id = p_sample_id AND released_at IS NULL AND task_key IS NULL
       AND CASE WHEN p_token IS NULL THEN task_type IS NULL ELSE token = p_token END
    RETURNING sync_version INTO v_locked;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_increment_version THEN
        UPDATE samples SET media_mtime_ns = NULL, updated_at = now(),
               sync_version = sync_version
                   + CASE WHEN sync_version <= coalesce(v_locked, sync_version) THEN 1 ELSE 0 END
         WHERE sample_id = p_sample_id;
    END IF;
    RETURN true;
END $$;

-- A missing expected version is a conflict: nobody may overwrite what they have not read.
DROP FUNCTION IF EXISTS check_annotation_conflict(uuid, integer);
CREATE FUNCTION check_annotation_conflict(p_sample_id uuid, p_expected_version integer)
RETURNS TABLE (has_conflict boolean, current_version integer, expected_version integer)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT s.sync_version IS DISTINCT FROM p_expected_version, s.sync_version, p_expected_version
      FROM samples s WHERE s.sample_id = p_sample_id;
END;

-- Takes a lock from its owner, unless a task in Label Studio needs it.
CREATE OR REPLACE FUNCTION release_lock(p_lock_id bigint, p_actor text, p_reason text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l locks;
    t tasks;
    v_conflict bigint;
BEGIN
    SELECT * INTO l FROM locks WHERE lock_id = p_lock_id;
    PERFORM 1 FROM samples WHERE sample_id = l.sample_id FOR UPDATE;
    SELECT * INTO l FROM locks WHERE lock_id = p_lock_id AND released_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse(format('nobody holds a lock %s', p_lock_id),
                       '`lsloop locks` shows those that are held.');
    END IF;
    SELECT * INTO t FROM tasks WHERE task_key = l.task_key;
    IF t.is_live THEN
        SELECT conflict_id INTO v_conflict FROM conflicts WHERE task_key = t.task_key AND status = 'open';
        PERFORM refuse(
            format('lock %s belongs to task %s, which is %s', p_lock_id,
                   coalesce(t.ls_task_id::text, t.task_key::text), t.state),
            CASE
            WHEN t.state = 'claimed'
            THEN format('`lsloop push --task-type %s` finishes what was cut off.', t.task_type)
            WHEN t.state = 'conflicted' THEN format('Decide first: `lsloop conflicts show %s`.', v_conflict)
            WHEN EXISTS (SELECT FROM annotations a WHERE a.task_key = t.task_key AND a.deleted_at IS NULL)
            THEN format(
              'Task %s has answers: the lock ends once one counts. `lsloop problems` says why one does not.',
              t.ls_task_id)
            ELSE format(
              'The lock ends when task %s is answered or skipped. Where nobody is at it, delete it in Label '
              'Studio and run `lsloop pull`.', t.ls_task_id) END);
    END IF;
    UPDATE locks SET released_at = now() WHERE lock_id = p_lock_id;
    PERFORM write_audit(p_actor, 'release', 'lock ' || p_lock_id, p_reason, to_jsonb(l) - 'token');
END $$;
