-- Tasks: a sample is written down as claimed, with the key that travels with it, before it is sent.

-- Whether a push could not make a task of a sample as it is, or Label Studio did not take it. (See eligible,
-- too.)
CREATE OR REPLACE FUNCTION is_left_out(s samples, p_task_type text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM problems p
                    WHERE p.sample_id = s.sample_id AND p.step = 'push' AND p.task_type = p_task_type)
$$;

-- Claimed tasks that are not sent: their samples are free. What a request may have carried is looked for by
-- its key for a day.
CREATE OR REPLACE FUNCTION leave_out(p_task_keys uuid[]) RETURNS void LANGUAGE sql AS $$
    SELECT hold_tasks(p_task_keys);
    UPDATE tasks SET state = 'cancelled', finished_at = now()
     WHERE task_key = ANY (p_task_keys) AND state = 'claimed';
    UPDATE locks SET released_at = now() WHERE task_key = ANY (p_task_keys) AND released_at IS NULL;
$$;

-- Samples that may be sent for a task type now: with what the annotator reads, held by nobody, at work in no
-- task and settled by none since their content last changed, and with no child that stands in for them. A
-- query that reads from it is planned as if this stood in it. Each condition is a lookup by an index for one
-- sample, in whatever order samples are wanted; as joins they would be planned by statistics, which in the
-- middle of a long push do not know its tasks and locks yet.
DROP FUNCTION IF EXISTS eligibility();
CREATE OR REPLACE FUNCTION eligible(p_task_type text, p_reads text[]) RETURNS SETOF samples
LANGUAGE sql STABLE AS $$
    SELECT s.* FROM samples s
     WHERE s.deleted_at IS NULL AND NOT s.is_gold_standard
       AND (s.only_task_type IS NULL OR s.only_task_type = p_task_type)
       AND (SELECT true FROM taking(s, p_task_type, p_reads) LIMIT 1) IS NOT TRUE
       AND (SELECT true FROM locks l
             WHERE l.sample_id = s.sample_id AND l.released_at IS NULL
               AND (l.task_type IS NULL OR l.task_type = p_task_type)
               AND (l.expires_at IS NULL OR l.expires_at > now()) LIMIT 1) IS NOT TRUE
       AND has_all(s, p_reads)
       AND (SELECT true FROM problems p
             WHERE p.sample_id = s.sample_id AND p.step = 'push' AND p.task_type = p_task_type
             LIMIT 1) IS NOT TRUE
       AND (SELECT true FROM samples c
             WHERE c.parent_sample_id = s.sample_id AND c.deleted_at IS NULL
               AND (c.only_task_type IS NULL OR c.only_task_type = p_task_type) LIMIT 1) IS NOT TRUE
$$;

-- The prediction to show: the newest made of the content that the sample still has.
CREATE OR REPLACE FUNCTION current_prediction(s samples, p_task_type text, p_reads text[]) RETURNS predictions
LANGUAGE sql STABLE AS $$
    SELECT p FROM predictions p
     WHERE p.sample_id = s.sample_id AND p.task_type = p_task_type
       AND NOT changed_since(s.field_versions, p_reads, p.sync_version)
       AND (p_reads = '{media}' OR NOT corrected_since(s, p_reads, p.created_at))
     ORDER BY p.created_at DESC, p.prediction_id DESC LIMIT 1
$$;

CREATE OR REPLACE FUNCTION snapshot(s samples, p_names text[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('fields', only_fields(s.fields, p_names), 'held', only_fields(s.held, p_names),
                              'media_path', s.media_path, 'media_md5', s.media_md5)
$$;

-- The next samples that a push would send, in order: `oldest`, `priority` or `random`. For `uncertain` see
-- uncertain_first.
DROP FUNCTION IF EXISTS sending_order(text, text);
CREATE OR REPLACE FUNCTION eligible_samples(p_task_type text, p_reads text[], p_order text, p_seed text,
                                            p_limit integer)
RETURNS SETOF samples LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE p_order
    WHEN 'oldest' THEN
        RETURN QUERY SELECT s.* FROM eligible(p_task_type, p_reads) s ORDER BY s.arrival LIMIT p_limit;
    WHEN 'priority' THEN
        RETURN QUERY SELECT s.* FROM eligible(p_task_type, p_reads) s
                      ORDER BY s.priority DESC, s.arrival LIMIT p_limit;
    WHEN 'random' THEN
        RETURN QUERY SELECT s.* FROM eligible(p_task_type, p_reads) s
                      ORDER BY md5(s.sample_id::text || p_seed) LIMIT p_limit;
    END CASE;
END $$;

-- Whether this transaction holds the sample now: nobody else was at it.
CREATE OR REPLACE FUNCTION hold_sample(p_sample_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM samples s WHERE s.sample_id = p_sample_id FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END $$;

-- The same, locked; those that another transaction is at are passed over, and no more are locked than are
-- wanted. With p_among, of these samples the first that can be sent, in their order. p_after: the oldest are
-- looked for from this arrival on.
CREATE OR REPLACE FUNCTION hold_next(
    p_task_type text, p_reads text[], p_order text, p_seed text, p_limit integer, p_among uuid[],
    p_after bigint
) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_front bigint := (SELECT arrival FROM claim_fronts WHERE task_type = p_task_type AND reads = p_reads);
    v_line refcursor;
    v_id uuid;
    v_held integer := 0;
BEGIN
    IF v_front IS NOT NULL AND p_among IS NULL AND p_order = 'oldest' THEN
        RETURN QUERY SELECT * FROM hold_noted(p_task_type, p_reads, p_limit, p_after, v_front);
        GET DIAGNOSTICS v_held = ROW_COUNT;
    END IF;
    CASE
    WHEN p_among IS NOT NULL THEN
        OPEN v_line FOR SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                         WHERE e.sample_id = ANY (p_among)
                         ORDER BY array_position(p_among, e.sample_id);
    WHEN p_order = 'oldest' THEN
        OPEN v_line FOR SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                         WHERE e.arrival >= greatest(p_after, v_front + 1) ORDER BY e.arrival;
    WHEN p_order = 'priority' THEN
        OPEN v_line FOR SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                         ORDER BY e.priority DESC, e.arrival;
    WHEN p_order = 'random' THEN
        OPEN v_line FOR SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                         ORDER BY md5(e.sample_id::text || p_seed);
    END CASE;
    WHILE v_held < p_limit LOOP
        FETCH v_line INTO v_id;
        EXIT WHEN NOT FOUND;
        IF hold_sample(v_id) THEN
            v_held := v_held + 1;
            RETURN NEXT v_id;
        END IF;
    END LOOP;
    CLOSE v_line;
END $$;

-- Claims samples. `place` is where a sample stands among those chosen; with p_among, where it stands there.
DROP FUNCTION IF EXISTS claim_tasks(integer, text, text[], text[], integer, text, text, text, integer);
DROP FUNCTION IF EXISTS claim_tasks(integer, text, text[], text[], integer, text, text, text, integer,
                                    uuid[]);
CREATE OR REPLACE FUNCTION claim_tasks(
    p_project_id integer, p_task_type text, p_reads text[], p_writes text[], p_overlap integer,
    p_claimed_by text, p_order text, p_seed text, p_limit integer, p_among uuid[] DEFAULT NULL,
    p_after bigint DEFAULT 0
) RETURNS TABLE (task_key uuid, place bigint, arrival bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_held uuid[] := ARRAY(
        SELECT hold_next(p_task_type, p_reads, p_order, p_seed, p_limit, p_among, p_after));
    -- A statement of its own: it sees the locks and tasks that were committed while the one above collected
    -- its rows.
    v_ids uuid[] := ARRAY(SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                           WHERE e.sample_id = ANY (v_held)
                           ORDER BY array_position(v_held, e.sample_id));
BEGIN
    RETURN QUERY
    WITH chosen AS MATERIALIZED (
        SELECT s, coalesce(array_position(p_among, c.sample_id), c.place) AS place
          FROM unnest(v_ids) WITH ORDINALITY c(sample_id, place) JOIN samples s USING (sample_id)),
    expired AS (
        UPDATE locks l SET released_at = now() FROM chosen
         WHERE l.sample_id = (chosen.s).sample_id AND l.released_at IS NULL AND l.expires_at <= now()),
    claimed AS (
        INSERT INTO tasks (sample_id, task_type, project_id, sync_version, reads, writes, base, overlap,
                           claimed_by)
        SELECT (s).sample_id, p_task_type, p_project_id, (s).sync_version, p_reads, p_writes, '{}', p_overlap,
               p_claimed_by
          FROM chosen ORDER BY chosen.place
        ON CONFLICT DO NOTHING RETURNING tasks.task_key, tasks.sample_id)
    SELECT claimed.task_key, chosen.place, (chosen.s).arrival FROM claimed
      JOIN chosen ON (chosen.s).sample_id = claimed.sample_id
     ORDER BY chosen.place;
    IF p_order = 'oldest' AND p_among IS NULL THEN
        PERFORM move_front(p_task_type, p_reads, p_after, CASE
            WHEN cardinality(v_held) < p_limit THEN (SELECT max(s.arrival) FROM samples s)
            ELSE (SELECT max(s.arrival) FROM samples s WHERE s.sample_id = ANY (v_held)) END);
    END IF;
END $$;

-- The locks of claimed tasks; apart from claim_tasks, because it must see the expired locks as released.
CREATE OR REPLACE FUNCTION lock_claimed(p_task_keys uuid[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO locks (sample_id, task_type, locked_by, task_key)
    SELECT sample_id, task_type, 'label_studio', task_key FROM tasks
     WHERE task_key = ANY (p_task_keys) AND NOT is_gold_probe AND adjudicates IS NULL
$$;

-- Everybody who changes several tasks holds them first, in this order, and their samples before: nobody waits
-- in a circle.
CREATE OR REPLACE FUNCTION hold_tasks(p_task_keys uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM tasks WHERE task_key = ANY (p_task_keys) ORDER BY task_key FOR UPDATE;
END $$;

-- What the annotator will see, as it stands now: a claimed task that Label Studio does not have is sent with
-- the sample's content of today, whatever it was when it was claimed. The samples are locked for the moment,
-- so that the snapshot and what is read for sending are one.
CREATE OR REPLACE FUNCTION snapshot_tasks(p_task_keys uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM samples s JOIN tasks t USING (sample_id) WHERE t.task_key = ANY (p_task_keys)
      ORDER BY sample_id FOR SHARE OF s;
    PERFORM hold_tasks(p_task_keys);
    -- It is sent again: the request before, which was given up for lost, may still bring what it carried.
    INSERT INTO earlier_bases (task_key, until, ended_at, base, sync_version)
    SELECT t.task_key, timestamptz '9000-01-01' - t.sends * interval '1 day', '-infinity', t.base,
           t.sync_version
      FROM tasks t JOIN samples s USING (sample_id)
     WHERE t.task_key = ANY (p_task_keys) AND t.state = 'claimed' AND t.sends > 0
       AND NOT shows_same(snapshot(s, t.reads || t.writes), t.base)
    ON CONFLICT DO NOTHING;
    UPDATE tasks t SET sync_version = s.sync_version, base = snapshot(s, t.reads || t.writes),
           prediction_id = p.prediction_id, model_version = p.model_version
      FROM samples s LEFT JOIN tasks c ON c.sample_id = s.sample_id AND c.task_key = ANY (p_task_keys)
      LEFT JOIN LATERAL current_prediction(s, c.task_type, c.reads) p ON true
     WHERE t.task_key = ANY (p_task_keys) AND c.task_key = t.task_key AND t.state = 'claimed';
END $$;

-- From now on it is uncertain whether Label Studio has these tasks, until their ids are written down. Answers
-- which of them are to be sent: one that a pull found in Label Studio meanwhile is not.
CREATE OR REPLACE FUNCTION mark_sent(p_task_keys uuid[], p_model_versions text[]) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_tasks(p_task_keys);
    RETURN QUERY
    UPDATE tasks t SET sent_at = clock_timestamp(), sends = sends + 1, model_version = sent.model_version
      FROM unnest(p_task_keys, p_model_versions) sent(task_key, model_version)
     WHERE t.task_key = sent.task_key AND t.state = 'claimed' RETURNING t.task_key;
END $$;

-- A task that stands in the ledger under an id that Label Studio now has for another one is gone there.
CREATE OR REPLACE FUNCTION give_up_ids(p_project_id integer, p_task_keys uuid[], p_ls_task_ids bigint[])
RETURNS void LANGUAGE sql AS $$
    SELECT tasks_gone(array_agg(t.task_key))
      FROM tasks t JOIN unnest(p_task_keys, p_ls_task_ids) now(task_key, ls_task_id) USING (ls_task_id)
     WHERE t.project_id = p_project_id AND t.task_key <> now.task_key AND t.gone_at IS NULL
$$;

-- The tasks of a project were moved to another one, where they have other ids. Those that were not have the
-- negative of their old one, which is nobody's: the next sweep finds that they are gone.
CREATE OR REPLACE FUNCTION move_tasks(p_project_id integer, p_task_keys uuid[], p_ls_task_ids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_tasks(array_agg(t.task_key)) FROM tasks t
      WHERE t.project_id = p_project_id AND t.gone_at IS NULL;
    UPDATE tasks SET ls_task_id = -ls_task_id, ls_updated_at = NULL
     WHERE project_id = p_project_id AND gone_at IS NULL AND ls_task_id > 0;
    UPDATE tasks t SET ls_task_id = now.ls_task_id
      FROM (SELECT task_key, min(ls_task_id) AS ls_task_id
              FROM unnest(p_task_keys, p_ls_task_ids) n(task_key, ls_task_id)
             GROUP BY 1) now
     WHERE t.task_key = now.task_key AND t.project_id = p_project_id AND t.gone_at IS NULL
       AND t.ls_task_id IS NOT NULL;
    -- As many as no project holds: the next pull looks at all ids, whatever it counts.
    UPDATE projects SET foreign_tasks = -1 - (
        SELECT count(*) FROM tasks t
         WHERE t.project_id = p_project_id AND t.ls_task_id IS NOT NULL AND t.gone_at IS NULL)
     WHERE project_id = p_project_id;
END $$;

DROP FUNCTION IF EXISTS open_tasks(uuid[], bigint[]);
CREATE OR REPLACE FUNCTION open_tasks(p_project_id integer, p_task_keys uuid[], p_ls_task_ids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_tasks(p_task_keys);
    PERFORM give_up_ids(p_project_id, p_task_keys, p_ls_task_ids);
    PERFORM note_change();
    UPDATE tasks t SET ls_task_id = sent.ls_task_id, state = 'open', opened_at = now()
      FROM unnest(p_task_keys, p_ls_task_ids) sent(task_key, ls_task_id)
     WHERE t.task_key = sent.task_key AND t.state = 'claimed';
END $$;

-- What a task showed before may be what an annotator saw, whenever they began: another copy of it may still
-- show it.
CREATE OR REPLACE FUNCTION shown_at_any_time(p_task_key uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE earlier_bases SET until = until + interval '7000 years', ended_at = '-infinity'
     WHERE task_key = p_task_key AND until < '5000-01-01'
$$;

-- Of several tasks that Label Studio has under this key, the one that stays.
CREATE OR REPLACE FUNCTION keep_task(p_project_id integer, p_task_key uuid, p_ls_task_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    t tasks;
BEGIN
    PERFORM 1 FROM samples s JOIN tasks USING (sample_id) WHERE task_key = p_task_key FOR UPDATE OF s;
    PERFORM give_up_ids(p_project_id, ARRAY[p_task_key], ARRAY[p_ls_task_id]);
    -- The other one may have been refreshed in place, and this one not: an answer to this one may be about
    -- anything that was shown.
    PERFORM shown_at_any_time(task_key) FROM tasks WHERE task_key = p_task_key AND ls_task_id <> p_ls_task_id;
    -- ls_updated_at was the other one's: what is older than it may be news of this one.
    UPDATE tasks SET ls_task_id = p_ls_task_id, gone_at = NULL, ls_updated_at = NULL
     WHERE task_key = p_task_key AND (ls_task_id, gone_at) IS DISTINCT FROM (p_ls_task_id, NULL);
    PERFORM note_change();
    -- It was deleted there, and is there again before its sample was sent anew.
    UPDATE tasks o SET state = 'open', opened_at = now(), finished_at = NULL
     WHERE task_key = p_task_key AND state = 'cancelled' AND is_wanted(o) AND NOT is_settled(o)
    RETURNING * INTO t;
    IF FOUND THEN
        PERFORM lock_task(t);
    END IF;
END $$;

-- Tasks that are gone from Label Studio: those at work end, and their samples may be sent again; what was
-- answered stays in the ledger, and so does a conflict. Answers how many were at work.
CREATE OR REPLACE FUNCTION tasks_gone(p_task_keys uuid[]) RETURNS bigint
LANGUAGE sql AS $$
    SELECT hold_tasks(p_task_keys);
    -- One update: a second one of the same row would check its sample, and wait for whoever holds that.
    WITH found AS (
        SELECT task_key, state IN ('claimed', 'open', 'annotated') AS at_work FROM tasks
         WHERE task_key = ANY (p_task_keys)),
    ended AS (
        UPDATE tasks t
           SET gone_at = coalesce(gone_at, now()), state = CASE WHEN at_work THEN 'cancelled' ELSE state END,
               finished_at = CASE WHEN at_work THEN now() ELSE finished_at END
          FROM found WHERE found.task_key = t.task_key RETURNING t.task_key, at_work),
    released AS (
        UPDATE locks SET released_at = now() FROM ended
         WHERE locks.task_key = ended.task_key AND at_work AND released_at IS NULL)
    SELECT count(*) FROM ended WHERE at_work
$$;

-- Whether a task that was ended may be at work again: nothing took its place, and what it decides is still
-- undecided.
CREATE OR REPLACE FUNCTION is_wanted(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT t.is_gold_probe OR CASE WHEN t.adjudicates IS NULL
        THEN NOT EXISTS (SELECT FROM tasks o WHERE o.sample_id = t.sample_id AND o.task_type = t.task_type
                            AND o.is_live AND NOT o.is_gold_probe)
        ELSE EXISTS (SELECT FROM tasks d WHERE d.task_key = t.adjudicates AND d.waits_for = 'adjudication'
                        AND NOT EXISTS (SELECT FROM tasks o WHERE o.adjudicates = d.task_key
                                           AND o.is_live)) END
$$;

-- Whether another task has settled the sample of this one since its content last changed (see eligible).
CREATE OR REPLACE FUNCTION is_settled(t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT t.is_gold_probe AND t.adjudicates IS NULL AND EXISTS (
        SELECT FROM tasks o JOIN samples s USING (sample_id)
         WHERE o.sample_id = t.sample_id AND o.task_type = t.task_type AND o.task_key <> t.task_key
           AND NOT o.is_gold_probe
           AND (o.state IN ('accepted', 'resolved') OR o.state = 'parked' AND o.gone_at IS NULL)
           AND NOT changed_since(s.field_versions, t.reads, greatest(o.sync_version, o.settled_version))
           AND NOT source_moved(o, s))
$$;

-- Tasks that are at their end, of which no answer stands, and that Label Studio has all the same: an
-- annotator who met one would do what another task asks for or has settled. Adjudications that nobody needs
-- any more, twins that came late, and what was decided or parked, lost its answers, and was sent anew.
DROP FUNCTION IF EXISTS needless_adjudications(integer);
CREATE OR REPLACE FUNCTION needless_tasks(p_project_id integer)
RETURNS TABLE (ls_task_id bigint, task_key uuid) LANGUAGE sql STABLE AS $$
    -- Looked at one by one only after those with answers, which are nearly all, are out.
    WITH unanswered AS MATERIALIZED (
        SELECT t FROM tasks t JOIN projects p USING (project_id)
         WHERE t.project_id = p_project_id AND t.task_type = p.task_type
           AND t.state IN ('cancelled', 'resolved', 'parked')
           AND t.ls_task_id IS NOT NULL AND t.gone_at IS NULL
           AND NOT EXISTS (SELECT FROM annotations n WHERE n.task_key = t.task_key AND n.deleted_at IS NULL))
    SELECT (t).ls_task_id, (t).task_key FROM unanswered
     WHERE NOT is_wanted(t) OR (t).state = 'cancelled' AND ((t).adjudicates IS NOT NULL OR is_settled(t))
$$;

-- Tasks that were ended and answered all the same, and that nothing speaks for or against any more: at work
-- again, so that their answers are taken, or become conflicts that people see. An adjudication waits until
-- what it was to decide is at its end.
CREATE OR REPLACE FUNCTION hear_ended_tasks(p_project_id integer) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_keys uuid[] := ARRAY(SELECT task_key FROM unheard_tasks(p_project_id));
BEGIN
    IF v_keys = '{}' THEN
        RETURN;
    END IF;
    PERFORM 1 FROM samples s JOIN tasks t USING (sample_id) WHERE t.task_key = ANY (v_keys)
      ORDER BY sample_id FOR UPDATE OF s;
    PERFORM hold_tasks(v_keys);
    PERFORM note_change();
    RETURN QUERY
    WITH heard AS (
        UPDATE tasks t SET state = 'open', opened_at = now(), finished_at = NULL
          FROM unheard_tasks(p_project_id) u WHERE t.task_key = u.task_key AND t.task_key = ANY (v_keys)
        RETURNING t)
    SELECT (t).task_key FROM heard, lock_task(t);
END $$;

DROP FUNCTION IF EXISTS unheard_tasks(integer);
CREATE FUNCTION unheard_tasks(p_project_id integer) RETURNS SETOF tasks LANGUAGE sql STABLE AS $$
    WITH answered AS MATERIALIZED (
        SELECT t FROM tasks t
         WHERE t.project_id = p_project_id AND t.state = 'cancelled' AND t.gone_at IS NULL
           AND t.ls_task_id IS NOT NULL
           AND EXISTS (SELECT FROM counted_answers(t)))
    -- Of several of one sample one at a time.
    SELECT DISTINCT ON ((t).sample_id) (t).* FROM answered
     WHERE is_wanted(t)
        OR EXISTS (SELECT FROM tasks d
                    WHERE d.task_key = (t).adjudicates AND d.state IN ('accepted', 'resolved', 'cancelled')
                      AND NOT EXISTS (SELECT FROM tasks o WHERE o.adjudicates = d.task_key
                                         AND o.is_live))
     ORDER BY (t).sample_id, (t).claimed_at, (t).task_key
$$;

-- Tasks that p_limit annotators skipped are parked: not sent again until their content changes. An answer
-- that comes in after all is taken. Answers how many.
CREATE OR REPLACE FUNCTION park_skipped(p_project_id integer, p_limit integer) RETURNS bigint
LANGUAGE sql AS $$
    SELECT hold_tasks(array_agg(task_key)) FROM tasks
     WHERE project_id = p_project_id AND state = 'open' AND skips > 0;
    WITH parked AS (
        UPDATE tasks SET state = 'parked', finished_at = now()
         WHERE project_id = p_project_id AND state = 'open' AND skips > 0 AND skips >= p_limit
           AND NOT is_gold_probe AND adjudicates IS NULL
        RETURNING task_key),
    released AS (
        UPDATE locks SET released_at = now() FROM parked
         WHERE locks.task_key = parked.task_key AND released_at IS NULL)
    SELECT count(*) FROM parked
$$;
