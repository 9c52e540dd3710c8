-- Which samples wait to be sent, kept so that the oldest are found however many were sent before them. For
-- each task type the samples up to a front (`claim_fronts`) were gone through, and those of them that no task
-- takes are in `waiting_samples`; behind the front every sample is looked at. What is kept says only where to
-- look: whether a sample may be sent is asked anew (`eligible`).
--
-- Whoever may have made a sample free notes it, whether it was noted before or not. So nobody waits for
-- anybody, and no note is lost: a claim takes out only notes that it saw, where the sample is still taken.
-- Notes are written as the owner: whoever may change samples need not be granted more than before.

-- The tasks for which a sample is not sent (again): at work, or settled since what annotators read changed.
CREATE OR REPLACE FUNCTION taking(s samples, p_task_type text, p_reads text[]) RETURNS SETOF tasks
LANGUAGE sql STABLE AS $$
    SELECT t.* FROM tasks t
     WHERE t.sample_id = s.sample_id AND t.task_type = p_task_type AND NOT t.is_gold_probe
       AND (t.is_live
            OR (t.state IN ('accepted', 'resolved') OR t.state = 'parked' AND t.gone_at IS NULL)
               AND (s.field_versions = '{}'
                    OR NOT changed_since(s.field_versions, p_reads,
                                         greatest(t.sync_version, t.settled_version)))
               AND (t.reads = '{media}' OR NOT source_moved(t, s)))
$$;

-- Whether a sample is as a task saw it, whatever annotators read.
CREATE OR REPLACE FUNCTION is_as_seen(s samples, t tasks) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT greatest(t.sync_version, t.settled_version) >= s.sync_version AND NOT source_moved(t, s)
$$;

-- A task let its sample go, or may have. An accepted answer is written while its sample is held, so what is
-- seen of that is so. Tasks that are parked or gone hold no sample: it may be changing just now.
CREATE OR REPLACE FUNCTION task_lets_go() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    t tasks := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    INSERT INTO waiting_samples (task_type, arrival, sample_id)
    SELECT t.task_type, s.arrival, s.sample_id FROM samples s
     WHERE s.sample_id = t.sample_id
       AND NOT (TG_OP = 'UPDATE' AND t.state IN ('accepted', 'resolved') AND is_as_seen(s, t));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER task_lets_go AFTER UPDATE ON tasks FOR EACH ROW
    WHEN (NOT NEW.is_live AND NOT NEW.is_gold_probe
          AND (OLD.state, OLD.gone_at, OLD.sync_version, OLD.settled_version, OLD.reads, OLD.base,
               OLD.judged_from)
              IS DISTINCT FROM
              (NEW.state, NEW.gone_at, NEW.sync_version, NEW.settled_version, NEW.reads, NEW.base,
               NEW.judged_from))
    EXECUTE FUNCTION task_lets_go();
CREATE OR REPLACE TRIGGER task_is_no_more AFTER DELETE ON tasks FOR EACH ROW
    WHEN (NOT OLD.is_gold_probe) EXECUTE FUNCTION task_lets_go();

-- A sample is other than its tasks saw it. Those at work count, too: one may be parked just now, unseen.
CREATE OR REPLACE FUNCTION sample_may_wait() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO waiting_samples (task_type, arrival, sample_id)
    SELECT DISTINCT t.task_type, NEW.arrival, NEW.sample_id FROM tasks t
     WHERE t.sample_id = NEW.sample_id AND t.state <> 'cancelled' AND NOT t.is_gold_probe
       AND NOT is_as_seen(NEW, t);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER sample_may_wait AFTER UPDATE ON samples FOR EACH ROW
    WHEN ((OLD.sync_version, OLD.field_versions, OLD.fields, OLD.held)
          IS DISTINCT FROM (NEW.sync_version, NEW.field_versions, NEW.fields, NEW.held))
    EXECUTE FUNCTION sample_may_wait();

-- Samples arrive in the order in which they get their numbers, but are seen in the order of the commits. Who
-- adds some says so, for as long as the transaction goes on: the front does not pass what nobody sees yet.
CREATE OR REPLACE FUNCTION samples_arrive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('lsloop samples arrive', 0));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER samples_arrive BEFORE INSERT ON samples FOR EACH STATEMENT
    EXECUTE FUNCTION samples_arrive();

-- Whether nobody is adding samples just now: then the next statement sees each that has its number, or nobody
-- ever will. Whoever begins to add some waits no longer than this takes.
CREATE OR REPLACE FUNCTION none_arrives() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_key bigint := hashtextextended('lsloop samples arrive', 0);
BEGIN
    IF pg_try_advisory_lock(v_key) THEN
        RETURN pg_advisory_unlock(v_key);
    END IF;
    RETURN false;
END $$;

-- A sample that goes round again takes its parent's place among the oldest, which the front may have passed,
-- or may be passing just now.
CREATE OR REPLACE FUNCTION child_waits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO waiting_samples (task_type, arrival, sample_id)
    SELECT DISTINCT p.task_type, NEW.arrival, NEW.sample_id FROM projects p
     WHERE NEW.only_task_type IS NULL
    UNION ALL SELECT NEW.only_task_type, NEW.arrival, NEW.sample_id WHERE NEW.only_task_type IS NOT NULL;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER child_waits AFTER INSERT ON samples FOR EACH ROW
    WHEN (NEW.parent_sample_id IS NOT NULL) EXECUTE FUNCTION child_waits();

-- Of the noted samples, from this arrival on, the oldest that can be sent, locked: see hold_next.
CREATE OR REPLACE FUNCTION hold_noted(p_task_type text, p_reads text[], p_limit integer, p_after bigint,
                                      p_front bigint)
RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_at bigint := p_after;
    v_last uuid := '00000000-0000-0000-0000-000000000000';
    v_some uuid[];
    v_id uuid;
    v_held integer := 0;
BEGIN
    WHILE v_held < p_limit LOOP
        -- What goes round again has its parent's arrival.
        SELECT array_agg(w.sample_id), max(w.arrival),
               (array_agg(w.sample_id ORDER BY w.arrival DESC, w.sample_id DESC))[1]
          INTO v_some, v_at, v_last
          FROM (SELECT sample_id, arrival FROM waiting_samples
                 WHERE task_type = p_task_type AND arrival <= p_front
                   AND (arrival, sample_id) > (v_at, v_last)
                 ORDER BY arrival, sample_id LIMIT 500) w;
        EXIT WHEN v_some IS NULL;
        FOR v_id IN SELECT e.sample_id FROM eligible(p_task_type, p_reads) e
                     WHERE e.sample_id = ANY (v_some) ORDER BY e.arrival, e.sample_id LOOP
            EXIT WHEN v_held = p_limit;
            IF hold_sample(v_id) THEN
                v_held := v_held + 1;
                RETURN NEXT v_id;
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- A claim went through the oldest samples, from one arrival to another: the front moves on, and what is taken
-- or noted twice is no longer noted. Where another claim does so just now, the next one does it.
CREATE OR REPLACE FUNCTION move_front(p_task_type text, p_reads text[], p_from bigint, p_to bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_front bigint;
BEGIN
    -- A statement that sees what the one before it saw would not see what has arrived since.
    IF current_setting('transaction_isolation') <> 'read committed'
       OR NOT pg_try_advisory_xact_lock(hashtextextended('lsloop front ' || p_task_type, 0)) THEN
        RETURN;
    END IF;
    DELETE FROM waiting_samples WHERE task_type = p_task_type
       AND EXISTS (SELECT FROM claim_fronts WHERE task_type = p_task_type AND reads <> p_reads);
    DELETE FROM claim_fronts WHERE task_type = p_task_type AND reads <> p_reads;
    v_front := coalesce((SELECT arrival FROM claim_fronts WHERE task_type = p_task_type), 0);
    DELETE FROM waiting_samples w
     WHERE w.task_type = p_task_type AND w.arrival BETWEEN p_from AND p_to
       AND (EXISTS (SELECT FROM samples s, taking(s, p_task_type, p_reads)
                        WHERE s.sample_id = w.sample_id)
            OR EXISTS (SELECT FROM waiting_samples o
                        WHERE (o.task_type, o.arrival, o.sample_id) = (w.task_type, w.arrival, w.sample_id)
                          AND o.ctid < w.ctid));
    IF p_to > v_front AND none_arrives() THEN
        INSERT INTO waiting_samples (task_type, arrival, sample_id)
        SELECT p_task_type, s.arrival, s.sample_id FROM samples s
         WHERE s.arrival > v_front AND s.arrival <= p_to
           AND (SELECT true FROM taking(s, p_task_type, p_reads) LIMIT 1) IS NOT TRUE;
        INSERT INTO claim_fronts (task_type, reads, arrival) VALUES (p_task_type, p_reads, p_to)
        ON CONFLICT (task_type) DO UPDATE SET arrival = p_to;
    END IF;
END $$;
