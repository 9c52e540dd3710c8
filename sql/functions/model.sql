-- Models: one version per task type is in use; changing it is audited and told to every server that listens.

-- Writes a version down. Answers false when it is there already: the same weights from the same data.
CREATE OR REPLACE FUNCTION register_model(
    p_version text, p_task_type text, p_path text, p_weights text, p_base text, p_base_version text,
    p_data_sha256 text, p_params jsonb, p_seed bigint, p_code_version text, p_metrics jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM model_versions m WHERE m.version = p_version AND m.task_type <> p_task_type) THEN
        RAISE 'The model version % is one of another task type.', p_version
            USING HINT = 'Train with another seed.';
    END IF;
    INSERT INTO model_versions (version, task_type, path, weights, base, base_version, data_sha256, params,
                                seed, code_version, metrics)
    VALUES (p_version, p_task_type, p_path, p_weights, p_base, p_base_version, p_data_sha256, p_params,
            p_seed, p_code_version, p_metrics)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- The version in use, locked: whoever changes it for a task type does so one after the other.
CREATE OR REPLACE FUNCTION model_in_use(p_task_type text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lsloop model in use: ' || p_task_type, 0));
    RETURN (SELECT version FROM model_versions
             WHERE task_type = p_task_type AND promoted_at IS NOT NULL AND demoted_at IS NULL);
END $$;

-- Puts p_version in the place of what is in use; NULL: nothing is in use, so the base.
CREATE OR REPLACE FUNCTION put_in_use(p_task_type text, p_version text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE model_versions SET demoted_at = clock_timestamp()
     WHERE task_type = p_task_type AND promoted_at IS NOT NULL AND demoted_at IS NULL;
    UPDATE model_versions SET promoted_at = clock_timestamp(), demoted_at = NULL WHERE version = p_version;
    DELETE FROM model_stand_ins WHERE task_type = p_task_type;
    PERFORM pg_notify('lsloop_promoted', p_task_type);
END $$;

-- Takes a version into use. Answers whether it was not in use before.
CREATE OR REPLACE FUNCTION promote_model(p_version text, p_actor text, p_reason text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_task_type text;
    v_before text;
BEGIN
    SELECT task_type INTO v_task_type FROM model_versions WHERE version = p_version;
    IF NOT FOUND THEN
        RAISE 'There is no model version %.', p_version USING HINT = '`lsloop models list` shows them.';
    END IF;
    v_before := model_in_use(v_task_type);
    IF v_before = p_version THEN
        RETURN false;
    END IF;
    PERFORM put_in_use(v_task_type, p_version);
    UPDATE model_versions SET replaces = v_before WHERE version = p_version;
    PERFORM write_audit(p_actor, 'promote', 'model ' || p_version, p_reason,
                        jsonb_build_object('task_type', v_task_type, 'before', v_before));
    RETURN true;
END $$;

-- Takes back into use what the version in use replaced: a version, or NULL for the base.
CREATE OR REPLACE FUNCTION roll_back_model(p_task_type text, p_actor text, p_reason text DEFAULT NULL)
RETURNS TABLE (was text, now_in_use text) LANGUAGE plpgsql AS $$
BEGIN
    was := model_in_use(p_task_type);
    IF was IS NULL THEN
        RAISE 'No model version is in use for %: there is nothing to roll back.', p_task_type
            USING HINT = '`lsloop models list` shows what there is.';
    END IF;
    SELECT replaces INTO now_in_use FROM model_versions WHERE version = was;
    PERFORM put_in_use(p_task_type, now_in_use);
    PERFORM write_audit(p_actor, 'roll back', 'model ' || was, p_reason,
                        jsonb_build_object('task_type', p_task_type, 'after', now_in_use));
    RETURN NEXT;
END $$;

-- Asks for a training. Answers its number: that of the one that waits already, if one does.
CREATE OR REPLACE FUNCTION request_training(p_task_type text, p_requested_by text, p_reason text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lsloop trainings: ' || p_task_type, 0));
    SELECT training_id INTO v_id FROM trainings WHERE task_type = p_task_type AND state = 'queued'
     ORDER BY 1 DESC LIMIT 1;
    IF v_id IS NULL THEN
        INSERT INTO trainings (task_type, state, requested_by, reason)
        VALUES (p_task_type, 'queued', p_requested_by, p_reason) RETURNING training_id INTO v_id;
    END IF;
    RETURN v_id;
END $$;

-- Asks for a training for each number of accepted annotations that is reached for the first time:
-- p_milestones, then every p_every. Of several at once only the last is trained for. Answers its number, or
-- NULL.
CREATE OR REPLACE FUNCTION reach_milestones(p_task_type text, p_milestones integer[], p_every integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_accepted bigint;
    v_last integer := coalesce((SELECT max(m) FROM unnest(p_milestones) m), 0);
    v_id bigint;
BEGIN
    SELECT count(*) INTO v_accepted FROM tasks
     WHERE task_type = p_task_type AND state IN ('accepted', 'resolved');
    PERFORM pg_advisory_xact_lock(hashtextextended('lsloop trainings: ' || p_task_type, 0));
    WITH reached AS (
        SELECT m FROM unnest(p_milestones) m WHERE m <= v_accepted
        UNION SELECT g
                FROM generate_series((v_last / nullif(p_every, 0) + 1) * p_every, v_accepted,
                                     nullif(p_every, 0)) g),
    new AS (SELECT m FROM reached WHERE NOT EXISTS (
        SELECT FROM trainings t WHERE t.task_type = p_task_type AND t.milestone = m)),
    asked AS (
        INSERT INTO trainings (task_type, state, requested_by, reason, milestone)
        SELECT p_task_type, CASE WHEN m = max(m) OVER () THEN 'queued' ELSE 'superseded' END, 'lsloop',
               m || ' annotations were accepted', m
          FROM new ORDER BY m
        ON CONFLICT DO NOTHING RETURNING training_id, state)
    SELECT training_id INTO v_id FROM asked WHERE state = 'queued';
    UPDATE trainings
       SET state = 'superseded', finished_at = clock_timestamp(), outcome = 'Training ' || v_id || ' does it.'
     WHERE task_type = p_task_type AND state = 'queued' AND training_id < v_id;
    RETURN v_id;
END $$;

-- Begins a run. Whoever calls this holds the task type's turn, so that a training that still runs in the
-- ledger was killed: it goes on when it is the same run, else it has failed. All that wait are answered by
-- this run.
CREATE OR REPLACE FUNCTION begin_training(p_task_type text, p_requested_by text, p_reason text, p_run jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lsloop trainings: ' || p_task_type, 0));
    UPDATE trainings SET resumed = resumed + 1
     WHERE task_type = p_task_type AND state = 'running' AND run = p_run RETURNING training_id INTO v_id;
    UPDATE trainings SET state = 'failed', finished_at = clock_timestamp(),
           error = 'It was interrupted, and its data or settings have changed since.'
     WHERE task_type = p_task_type AND state = 'running' AND training_id IS DISTINCT FROM v_id;
    IF v_id IS NULL THEN
        SELECT training_id INTO v_id FROM trainings
         WHERE task_type = p_task_type AND state = 'queued' ORDER BY 1 DESC LIMIT 1;
        IF v_id IS NULL THEN
            INSERT INTO trainings (task_type, state, requested_by, reason)
            VALUES (p_task_type, 'queued', p_requested_by, p_reason) RETURNING training_id INTO v_id;
        END IF;
        UPDATE trainings SET state = 'running', started_at = clock_timestamp(), run = p_run
         WHERE training_id = v_id;
    END IF;
    UPDATE trainings
       SET state = 'superseded', finished_at = clock_timestamp(), outcome = 'Training ' || v_id || ' does it.'
     WHERE task_type = p_task_type AND state = 'queued';
    RETURN v_id;
END $$;

-- Ends a run: with a version and what became of it, or with what went wrong.
CREATE OR REPLACE FUNCTION end_training(p_training_id bigint, p_version text, p_outcome text,
                                        p_error text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    UPDATE trainings
       SET state = CASE WHEN p_error IS NULL THEN 'done' ELSE 'failed' END, finished_at = clock_timestamp(),
           model_version = p_version, outcome = p_outcome, error = p_error
     WHERE training_id = p_training_id
$$;

CREATE OR REPLACE FUNCTION training_has_job(p_training_id bigint, p_job_id bigint) RETURNS void
LANGUAGE sql AS $$
    UPDATE trainings SET job_id = p_job_id WHERE training_id = p_training_id
$$;

-- What waits for a task type cannot begin.
CREATE OR REPLACE FUNCTION give_up_training(p_task_type text, p_error text) RETURNS void LANGUAGE sql AS $$
    UPDATE trainings SET state = 'failed', finished_at = clock_timestamp(), error = p_error
     WHERE task_type = p_task_type AND state = 'queued'
$$;

-- Writes down which model stands in for the first choice, and why. Without a reason none does.
CREATE OR REPLACE FUNCTION model_stands_in(p_task_type text, p_version text, p_reason text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM model_stand_ins WHERE task_type = p_task_type AND p_reason IS NULL;
    INSERT INTO model_stand_ins AS m (task_type, version, reason)
    SELECT p_task_type, p_version, p_reason WHERE p_reason IS NOT NULL
        ON CONFLICT (task_type) DO UPDATE
       SET version = EXCLUDED.version, reason = EXCLUDED.reason, since = now()
     WHERE (m.version, m.reason) <> (EXCLUDED.version, EXCLUDED.reason);
$$;
