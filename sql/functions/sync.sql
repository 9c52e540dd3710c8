-- Cycles of `lsloop sync`. Whoever calls these holds the advisory lock `lsloop sync`; the unique index holds
-- it, too.

-- Begins a cycle. One that is still open belongs to nobody: its process died, or lost the ledger.
CREATE OR REPLACE FUNCTION begin_sync(p_started_by text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_run_id bigint;
BEGIN
    UPDATE sync_runs SET ended_at = clock_timestamp(), outcome = 'cut off' WHERE ended_at IS NULL;
    INSERT INTO sync_runs (started_by) VALUES (p_started_by) RETURNING run_id INTO v_run_id;
    RETURN v_run_id;
END $$;

-- Writes down what came of a step; refused when the cycle has ended.
CREATE OR REPLACE FUNCTION record_sync_step(p_run_id bigint, p_step jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sync_runs SET steps = steps || jsonb_build_array(p_step)
     WHERE run_id = p_run_id AND ended_at IS NULL;
    IF NOT FOUND THEN
        PERFORM refuse(format('sync cycle %s has ended already', p_run_id),
                       'Another one took its place; run `lsloop sync` again.');
    END IF;
END $$;

-- Ends a cycle: it failed when a step did.
CREATE OR REPLACE FUNCTION end_sync(p_run_id bigint, p_stopped boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_outcome text;
BEGIN
    UPDATE sync_runs SET ended_at = clock_timestamp(), outcome = CASE
               WHEN steps @> '[{"state": "failed"}]' THEN 'failed'
               WHEN p_stopped THEN 'stopped'
               ELSE 'succeeded' END
     WHERE run_id = p_run_id AND ended_at IS NULL RETURNING outcome INTO v_outcome;
    IF v_outcome IS NULL THEN
        PERFORM refuse(format('sync cycle %s has ended already', p_run_id),
                       'Another one took its place; run `lsloop sync` again.');
    END IF;
    RETURN v_outcome;
END $$;
