-- Events: stored, taken, and done, ignored, tried again or given up. An event is a wake-up, never a fact.

-- Whoever listens on lsloop_events is woken once the event is committed. The same body again is one event as
-- long as nobody has looked: what it tells is seen by the look that comes. Later it is an event of its own.
CREATE OR REPLACE FUNCTION store_event(p_source_path text, p_action text, p_payload jsonb, p_digest text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO events AS e (source_path, action, payload, digest)
    VALUES (p_source_path, p_action, p_payload, p_digest)
    ON CONFLICT (digest) WHERE is_fresh DO UPDATE SET deliveries = e.deliveries + 1
    RETURNING event_id INTO v_id;
    PERFORM pg_notify('lsloop_events', '');
    RETURN v_id;
END $$;

-- The Label Studio that an event is from, by the ledger's name; NULL where that cannot be told. A project is
-- known by its number and the moment when it was made, by its number alone where only one Label Studio has
-- it.
CREATE OR REPLACE FUNCTION event_server(p_payload jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN count(DISTINCT server) FILTER (WHERE is_same) = 1 THEN min(server) FILTER (WHERE is_same)
                WHEN count(DISTINCT server) = 1 THEN min(server) END
      FROM (SELECT server, ls_created_at = p_payload #>> '{project,created_at}' AS is_same FROM projects
             WHERE CAST(ls_project_id AS text)
                   = coalesce(p_payload #>> '{project,id}', p_payload ->> 'project')) p
$$;

-- The oldest events that are due, but for those from another Label Studio than p_server: somebody else
-- reaches that. Whoever takes them and dies has spent an attempt, and they are due again by themselves; what
-- has no attempt left is given up here.
DROP FUNCTION IF EXISTS take_events(integer, integer);
CREATE OR REPLACE FUNCTION take_events(p_limit integer, p_tries integer, p_server text) RETURNS SETOF events
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE events
       SET state = 'failed', finished_at = clock_timestamp(),
           error = coalesce(error, 'whoever looked did not come back')
     WHERE state = 'stored' AND next_try_at <= clock_timestamp() AND attempts >= p_tries;
    RETURN QUERY
    WITH due AS (
        SELECT event_id FROM events WHERE state = 'stored' AND next_try_at <= clock_timestamp()
           AND (p_server IS NULL OR coalesce(event_server(payload), p_server) = p_server)
         ORDER BY event_id LIMIT p_limit FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE events e SET is_fresh = false, attempts = attempts + 1,
               next_try_at = clock_timestamp() + least(2 ^ (attempts + 1), 300) * interval '1 second'
          FROM due WHERE due.event_id = e.event_id RETURNING e.*)
    SELECT * FROM taken ORDER BY event_id;
END $$;

CREATE OR REPLACE FUNCTION finish_events(p_event_ids bigint[], p_state text, p_why text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    UPDATE events SET state = p_state, error = p_why, finished_at = clock_timestamp()
     WHERE event_id = ANY (p_event_ids) AND state = 'stored'
$$;

-- These could not be looked at now: they are due again later, or given up when all attempts are spent.
CREATE OR REPLACE FUNCTION postpone_events(p_event_ids bigint[], p_why text, p_tries integer) RETURNS void
LANGUAGE sql AS $$
    UPDATE events SET error = p_why, state = CASE WHEN attempts >= p_tries THEN 'failed' ELSE state END,
           finished_at = CASE WHEN attempts >= p_tries THEN clock_timestamp() END
     WHERE event_id = ANY (p_event_ids) AND state = 'stored'
$$;

-- Events that were given up are due again, with all their attempts. Answers how many.
CREATE OR REPLACE FUNCTION retry_events(p_actor text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    UPDATE events SET state = 'stored', attempts = 0, next_try_at = clock_timestamp(), finished_at = NULL
     WHERE state = 'failed';
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count > 0 THEN
        PERFORM write_audit(p_actor, 'retry', 'events', NULL, jsonb_build_object('events', v_count));
        PERFORM pg_notify('lsloop_events', '');
    END IF;
    RETURN v_count;
END $$;

-- Settled events tell nothing any more once they are old.
CREATE OR REPLACE FUNCTION forget_events(p_age interval) RETURNS bigint LANGUAGE sql AS $$
    WITH old AS (
        DELETE FROM events WHERE state IN ('done', 'ignored') AND finished_at < now() - p_age RETURNING 1)
    SELECT count(*) FROM old
$$;
