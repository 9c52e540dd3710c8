-- Rounds of `lsloop loop`. Whoever calls these holds the turn `lsloop loop <task type>`; the unique index
-- holds it, too.

-- The round to be at: the one that was left off; else the next of a series that was left off; else the first
-- of a new one.
CREATE OR REPLACE FUNCTION begin_round(p_task_type text, p_rounds integer, p_wanted jsonb, p_started_by text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_last rounds;
    v_id bigint;
BEGIN
    SELECT * INTO v_last FROM rounds WHERE task_type = p_task_type ORDER BY round_id DESC LIMIT 1;
    IF v_last.round_id IS NOT NULL AND v_last.ended_at IS NULL THEN
        UPDATE rounds SET resumed = resumed + 1, wanted = p_wanted, of_rounds = greatest(p_rounds, number)
         WHERE round_id = v_last.round_id;
        RETURN v_last.round_id;
    END IF;
    INSERT INTO rounds (task_type, series, number, of_rounds, wanted, started_by)
    VALUES (p_task_type, 0, 1, p_rounds, p_wanted, p_started_by) RETURNING round_id INTO v_id;
    IF v_last.number < v_last.of_rounds THEN
        UPDATE rounds SET series = v_last.series, number = v_last.number + 1,
               of_rounds = greatest(p_rounds, v_last.number + 1) WHERE round_id = v_id;
    ELSE
        UPDATE rounds SET series = v_id WHERE round_id = v_id;
    END IF;
    RETURN v_id;
END $$;

-- Writes down what came of a part; refused when the round has ended.
CREATE OR REPLACE FUNCTION record_round_part(p_round_id bigint, p_name text, p_part jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rounds SET parts = parts || jsonb_build_object(p_name, p_part)
     WHERE round_id = p_round_id AND ended_at IS NULL;
    IF NOT FOUND THEN
        PERFORM refuse(format('round %s has ended already', p_round_id), 'Run `lsloop loop` again.');
    END IF;
END $$;

-- Ends a round; p_is_last: no other one follows in its series, because there is nothing left to annotate.
CREATE OR REPLACE FUNCTION end_round(p_round_id bigint, p_is_last boolean) RETURNS void LANGUAGE sql AS $$
    UPDATE rounds
       SET ended_at = clock_timestamp(), of_rounds = CASE WHEN p_is_last THEN number ELSE of_rounds END
     WHERE round_id = p_round_id AND ended_at IS NULL
$$;
