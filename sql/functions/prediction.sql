-- Predictions: which samples wait for one, who makes it, and which samples models are least sure of.

-- Samples that wait for a prediction of a model version; predictions before p_since do not count (NULL: all
-- count). Waiting are samples that a push may send, now or when whoever locked them lets go, and gold: a
-- probe without pre-annotation would be known by that. What an annotator left for somebody else to begin from
-- stays. A query that reads from it is planned as if this stood in it.
DROP FUNCTION IF EXISTS waits_for_prediction();
CREATE OR REPLACE FUNCTION waiting_for_prediction(p_task_type text, p_reads text[], p_model_version text,
                                                  p_since timestamptz)
RETURNS SETOF samples LANGUAGE sql STABLE AS $$
    SELECT s.* FROM samples s
     WHERE s.deleted_at IS NULL
       AND has_all(s, p_reads)
       AND (s.is_gold_standard
            OR (s.only_task_type IS NULL OR s.only_task_type = p_task_type)
               AND NOT EXISTS (
                   SELECT FROM samples c WHERE c.parent_sample_id = s.sample_id AND c.deleted_at IS NULL
                      AND (c.only_task_type IS NULL OR c.only_task_type = p_task_type))
               AND NOT EXISTS (
                   SELECT FROM tasks t
                    WHERE t.sample_id = s.sample_id AND t.task_type = p_task_type AND NOT t.is_gold_probe
                      AND (t.state IN ('open', 'annotated', 'conflicted', 'accepted', 'resolved')
                           OR t.state = 'parked' AND t.gone_at IS NULL)
                      AND (s.field_versions = '{}'
                           OR NOT changed_since(s.field_versions, p_reads,
                                                greatest(t.sync_version, t.settled_version)))
                      AND (t.state NOT IN ('accepted', 'resolved', 'parked') OR t.reads = '{media}'
                           OR NOT source_moved(t, s))))
       AND NOT EXISTS (
           SELECT FROM (
               SELECT p.model_version, p.created_at FROM predictions p
                WHERE p.sample_id = s.sample_id AND p.task_type = p_task_type
                  AND (s.field_versions = '{}'
                       OR NOT changed_since(s.field_versions, p_reads, p.sync_version))
                  AND (p_reads = '{media}' OR NOT corrected_since(s, p_reads, p.created_at))
                ORDER BY p.created_at DESC, p.prediction_id DESC LIMIT 1) newest
            WHERE newest.model_version = 'human-reflow'
               OR newest.model_version = p_model_version
                  AND (p_since IS NULL OR newest.created_at >= p_since))
$$;

CREATE OR REPLACE FUNCTION count_waiting_for_prediction(
    p_task_type text, p_reads text[], p_model_version text, p_since timestamptz
) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM waiting_for_prediction(p_task_type, p_reads, p_model_version, p_since)
$$;

-- Claims the next samples after p_after and p_after_id, in the order of their arrival (samples that go round
-- again share it). A claim ends when its predictions are written down, or with the session that holds the
-- advisory lock p_worker. Nobody who changes a sample waits for a prediction.
CREATE OR REPLACE FUNCTION claim_predictions(
    p_task_type text, p_reads text[], p_model_version text, p_since timestamptz, p_worker bigint,
    p_after bigint, p_after_id uuid, p_limit integer
) RETURNS SETOF samples LANGUAGE plpgsql AS $$
DECLARE
    v_line refcursor;
    v_id uuid;
    v_ids uuid[] := '{}';
BEGIN
    DELETE FROM prediction_claims WHERE claimed_by IN (
        SELECT w.claimed_by FROM (SELECT DISTINCT c.claimed_by FROM prediction_claims c OFFSET 0) w
         WHERE w.claimed_by <> p_worker AND pg_try_advisory_xact_lock_shared(w.claimed_by));
    OPEN v_line FOR
        SELECT w.sample_id FROM waiting_for_prediction(p_task_type, p_reads, p_model_version, p_since) w
         WHERE w.arrival >= p_after AND (w.arrival, w.sample_id) > (p_after, p_after_id)
           AND NOT EXISTS (SELECT FROM prediction_claims c
                            WHERE c.sample_id = w.sample_id AND c.task_type = p_task_type)
         ORDER BY w.arrival, w.sample_id;
    WHILE cardinality(v_ids) < p_limit LOOP
        FETCH v_line INTO v_id;
        EXIT WHEN NOT FOUND;
        PERFORM FROM samples s WHERE s.sample_id = v_id FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            v_ids := v_ids || v_id;
        END IF;
    END LOOP;
    CLOSE v_line;
    -- Whoever claimed one of them a moment ago, after the statement above began, keeps it; a statement of its
    -- own sees what was predicted meanwhile.
    RETURN QUERY
    WITH claimed AS (
        INSERT INTO prediction_claims (sample_id, task_type, claimed_by)
        SELECT w.sample_id, p_task_type, p_worker
          FROM waiting_for_prediction(p_task_type, p_reads, p_model_version, p_since) w
         WHERE w.sample_id = ANY (v_ids)
        ON CONFLICT DO NOTHING RETURNING sample_id)
    SELECT s.* FROM samples s JOIN claimed USING (sample_id) ORDER BY s.arrival, s.sample_id;
END $$;

-- Writes down what a model said, and ends the claims: of these samples, those without a prediction included.
CREATE OR REPLACE FUNCTION record_predictions(
    p_task_type text, p_model_version text, p_worker bigint, p_done uuid[], p_ids uuid[],
    p_sync_versions integer[], p_values jsonb[], p_scores double precision[],
    p_uncertainties double precision[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO predictions (sample_id, task_type, model_version, value, score, uncertainty, sync_version,
                             created_at)
    SELECT n.sample_id, p_task_type, p_model_version, n.value, n.score, n.uncertainty, n.sync_version,
           clock_timestamp()
      FROM unnest(p_ids, p_sync_versions, p_values, p_scores, p_uncertainties)
           n(sample_id, sync_version, value, score, uncertainty)
     ORDER BY n.sample_id
    ON CONFLICT (sample_id, task_type, model_version, sync_version) DO UPDATE
       SET value = excluded.value, score = excluded.score, uncertainty = excluded.uncertainty,
           created_at = excluded.created_at;
    DELETE FROM prediction_claims
     WHERE claimed_by = p_worker AND task_type = p_task_type AND sample_id = ANY (p_done);
$$;

-- The next p_limit samples of a push that takes the most uncertain first. Of samples that belong together (a
-- speaker, a video) one goes after those of the others have gone: turn by turn, and within a turn the most
-- uncertain first. Samples without prediction follow, the oldest first. p_share of the places go to samples
-- that chance chose of all.
CREATE OR REPLACE FUNCTION uncertain_first(p_task_type text, p_reads text[], p_seed text,
                                           p_share double precision, p_limit integer)
RETURNS TABLE (sample_id uuid, place bigint) LANGUAGE sql STABLE AS $$
    WITH able AS MATERIALIZED (
        SELECT s.sample_id, s.arrival, split_key(s) AS together, p.uncertainty
          FROM eligible(p_task_type, p_reads) s LEFT JOIN LATERAL (
              SELECT p.uncertainty FROM predictions p
               WHERE p.sample_id = s.sample_id AND p.task_type = p_task_type
                 AND (s.field_versions = '{}' OR NOT changed_since(s.field_versions, p_reads, p.sync_version))
               ORDER BY p.created_at DESC, p.prediction_id DESC LIMIT 1) p ON true),
    drawn AS MATERIALIZED (
        SELECT a.sample_id,
               row_number() OVER (ORDER BY md5(a.sample_id::text || p_seed), a.sample_id) AS number
          FROM able a ORDER BY 2 LIMIT floor(least(p_limit, (SELECT count(*) FROM able)) * p_share)::bigint),
    turns AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.uncertainty IS NULL, a.together
                                       ORDER BY a.uncertainty DESC, a.arrival) AS turn
          FROM able a WHERE a.sample_id NOT IN (SELECT d.sample_id FROM drawn d)),
    uncertain AS (
        SELECT t.sample_id, row_number() OVER (
                   ORDER BY t.uncertainty IS NULL, CASE WHEN t.uncertainty IS NOT NULL THEN t.turn END,
                            t.uncertainty DESC, t.arrival) AS number
          FROM turns t),
    both_kinds AS (
        SELECT u.sample_id, u.number / nullif(1 - p_share, 0) AS at, 0 AS kind FROM uncertain u
        UNION ALL SELECT d.sample_id, d.number / p_share, 1 FROM drawn d)
    SELECT b.sample_id, row_number() OVER (ORDER BY b.at, b.kind, b.sample_id) FROM both_kinds b
     ORDER BY 2 LIMIT p_limit
$$;
