-- Gold: samples with a known reference, sent again unseen as probes. A probe's answer is measured and never a
-- value.

-- Makes a sample gold. Without a reference, the values that people accepted for it are the reference.
-- Answers false when it is gold already with this reference and score.
CREATE OR REPLACE FUNCTION set_gold_standard(
    p_sample_id uuid, p_gold_score numeric, p_executor text, p_reference jsonb DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    s samples;
    v_reference jsonb := p_reference;
    v_authors text[] := '{}';
    v_authors_of jsonb := '{}';
BEGIN
    SELECT * INTO s FROM samples WHERE sample_id = p_sample_id FOR UPDATE;
    IF NOT FOUND OR s.deleted_at IS NOT NULL THEN
        RAISE 'There is no sample %.', p_sample_id
            USING HINT = 'Give the sample_id of a row of samples that is not deleted.';
    ELSIF p_gold_score IS NULL OR p_gold_score NOT BETWEEN 0 AND 1 THEN
        RAISE 'The gold score is %; it must lie between 0 and 1.', coalesce(p_gold_score::text, 'missing')
            USING HINT = 'Say how sure the reference is: 1 is certain.';
    ELSIF coalesce(p_executor, '') = '' THEN
        RAISE 'Nobody is named as having set the gold standard.'
            USING HINT = 'Give a name as the third argument.';
    END IF;
    IF p_reference IS NULL THEN
        v_reference := only_fields(s.fields, ARRAY(SELECT jsonb_object_keys(s.held)));
        v_authors := ARRAY(
            SELECT DISTINCT author FROM jsonb_each_text(s.held) h
              JOIN revisions r
                ON r.sample_id = s.sample_id AND r.field = h.key AND r.version = h.value::integer
              JOIN annotations a USING (annotation_id)
             CROSS JOIN unnest(ARRAY[a.annotator, a.edited_by]) author
             WHERE author IS NOT NULL ORDER BY 1);
        v_authors_of := (
            SELECT coalesce(
                jsonb_object_agg(h.key, to_jsonb(array_remove(ARRAY[a.annotator, a.edited_by], NULL))), '{}')
              FROM jsonb_each_text(s.held) h
              JOIN revisions r
                ON r.sample_id = s.sample_id AND r.field = h.key AND r.version = h.value::integer
              JOIN annotations a USING (annotation_id));
        IF v_reference = '{}' THEN
            RAISE 'Sample % has no accepted value that could be its reference.', s.external_id
                USING HINT = 'Give the reference, or have the sample annotated and accepted first.';
        END IF;
    ELSIF jsonb_typeof(p_reference) <> 'object' OR p_reference = '{}' THEN
        RAISE 'The reference of sample % must be an object with at least one field.', s.external_id
            USING HINT = 'Write it as {"transcript": "…"}.';
    END IF;
    IF EXISTS (SELECT FROM gold_standards g WHERE g.sample_id = s.sample_id AND g.unset_at IS NULL
                  AND (g.reference, g.gold_score, g.sync_version)
                      = (v_reference, p_gold_score, s.sync_version)) THEN
        RETURN false;
    END IF;
    UPDATE gold_standards SET unset_by = p_executor, unset_at = now()
     WHERE sample_id = s.sample_id AND unset_at IS NULL;
    INSERT INTO gold_standards (sample_id, reference, gold_score, sync_version, authors, authors_of, set_by)
    VALUES (s.sample_id, v_reference, p_gold_score, s.sync_version, v_authors, v_authors_of, p_executor);
    UPDATE samples SET is_gold_standard = true, updated_at = now() WHERE sample_id = s.sample_id;
    RETURN true;
END $$;

-- Back to ordinary work. What was scored against its reference no longer counts. Answers false when it was
-- not gold.
CREATE OR REPLACE FUNCTION unset_gold_standard(p_sample_id uuid, p_executor text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE samples SET is_gold_standard = false, updated_at = now()
     WHERE sample_id = p_sample_id AND is_gold_standard;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE gold_standards SET unset_by = p_executor, unset_at = now()
     WHERE sample_id = p_sample_id AND unset_at IS NULL;
    RETURN true;
END $$;

-- Whether a reference can measure answers to a task type now: it says what the annotator will write, and what
-- the annotator judges from is still what it was set for.
CREATE OR REPLACE FUNCTION gold_fits(g gold_standards, s samples, p_reads text[], p_writes text[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT g.reference ?& p_writes AND NOT changed_since(s.field_versions, p_reads, g.sync_version)
$$;

-- Gold samples that can be probes for a task type now: no task of this type is at work on them.
CREATE OR REPLACE FUNCTION idle_gold(p_task_type text, p_reads text[], p_writes text[]) RETURNS SETOF samples
LANGUAGE sql STABLE AS $$
    SELECT s.*
      FROM samples s JOIN gold_standards g ON g.sample_id = s.sample_id AND g.unset_at IS NULL
     WHERE s.is_gold_standard AND s.deleted_at IS NULL AND gold_fits(g, s, p_reads, p_writes)
       AND NOT is_left_out(s, p_task_type)
       AND has_all(s, p_reads)
       AND NOT EXISTS (SELECT FROM tasks t WHERE t.sample_id = s.sample_id AND t.task_type = p_task_type
                          AND t.is_live)
$$;

-- Claims up to p_limit probes of the idle gold, those first that the fewest annotators have met, so that
-- nobody meets one twice while there are others; among equals p_chance decides.
DROP FUNCTION IF EXISTS claim_probes(integer, text, text[], text[], integer, text, integer);
CREATE OR REPLACE FUNCTION claim_probes(
    p_project_id integer, p_task_type text, p_reads text[], p_writes text[], p_overlap integer,
    p_claimed_by text, p_limit integer, p_chance text
) RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH chosen AS MATERIALIZED (
        SELECT s.sample_id, s.sync_version
          FROM idle_gold(p_task_type, p_reads, p_writes) i JOIN samples s USING (sample_id)
         WHERE s.is_gold_standard AND s.deleted_at IS NULL  -- also of the row as it is once it is locked
         ORDER BY (SELECT count(DISTINCT a.annotator) FROM tasks t JOIN annotations a USING (task_key)
                    WHERE t.sample_id = s.sample_id AND t.task_type = p_task_type),
                  md5(s.external_id || p_chance)
         LIMIT p_limit FOR UPDATE OF s SKIP LOCKED)
    INSERT INTO tasks (sample_id, task_type, project_id, sync_version, reads, writes, base, overlap,
                       claimed_by, is_gold_probe)
    SELECT sample_id, p_task_type, p_project_id, sync_version, p_reads, p_writes, '{}', p_overlap,
           p_claimed_by, true
      FROM chosen RETURNING task_key
$$;

-- The fields that an annotator is shown. Of a probe what upstream says, as for any sample that nobody has
-- corrected yet: its current value may be the reference.
CREATE OR REPLACE FUNCTION shown_fields(s samples, t tasks) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN t.is_gold_probe AND s.upstream IS NOT NULL
                THEN (s.fields - t.writes) || only_fields(s.upstream, t.writes) ELSE s.fields END
$$;

-- A probe ends when it has its answers; what they say is measured elsewhere.
CREATE OR REPLACE FUNCTION settle_probe(t tasks) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_answers integer;
    v_state text;
BEGIN
    SELECT count(DISTINCT annotator) FILTER (WHERE value IS NOT NULL),
           CASE WHEN count(*) = 0 THEN 'open' ELSE 'annotated' END
      INTO v_answers, v_state
      FROM annotations a
     WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled AND NOT a.says_nothing;
    v_state := CASE WHEN v_answers >= t.overlap THEN 'probed' ELSE v_state END;
    IF v_state = t.state THEN
        RETURN NULL;
    END IF;
    UPDATE tasks SET state = v_state, finished_at = CASE v_state WHEN 'probed' THEN now() END
     WHERE task_key = t.task_key;
    RETURN v_state;
END $$;

-- Whether the reference of one of these fields is this annotator's own answer: then it does not measure them.
CREATE OR REPLACE FUNCTION is_author(g gold_standards, p_annotator text, p_fields text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN g.authors_of IS NULL THEN p_annotator = ANY (g.authors)
                ELSE EXISTS (SELECT FROM unnest(p_fields) field WHERE g.authors_of -> field ? p_annotator) END
$$;

-- Answers to probes whose latest version was not held to its reference yet, or not to the one the sample has
-- now, or whose errors were counted in another unit. Not those to content that the reference was not set for,
-- nor those of whoever wrote the reference, nor those that somebody else than their annotator edited: they
-- measure nobody.
DROP FUNCTION IF EXISTS unscored_answers(integer, uuid[]);
CREATE OR REPLACE FUNCTION unscored_answers(p_project_id integer, p_unit text,
                                            p_task_keys uuid[] DEFAULT NULL)
RETURNS TABLE (annotation_id bigint, version integer, gold_id bigint, external_id text, answer jsonb,
               reference jsonb)
LANGUAGE sql STABLE AS $$
    SELECT a.annotation_id, h.version, g.gold_id, s.external_id, a.value, g.reference
      FROM tasks t
      JOIN samples s USING (sample_id)
      JOIN gold_standards g ON g.sample_id = t.sample_id AND g.unset_at IS NULL
      JOIN annotations a
        ON a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled AND a.value IS NOT NULL
      JOIN LATERAL (SELECT max(h.version) AS version FROM annotation_history h
                          WHERE h.annotation_id = a.annotation_id AND NOT h.told) h ON true
     WHERE t.is_gold_probe AND t.project_id = p_project_id
       AND t.task_key = ANY (coalesce(p_task_keys, ARRAY(
               SELECT o.task_key FROM tasks o WHERE o.is_gold_probe AND o.project_id = p_project_id)))
       AND gold_fits(g, s, t.reads, t.writes) AND NOT changed_since(s.field_versions, t.reads, t.sync_version)
       AND NOT is_author(g, a.annotator, t.writes) AND a.edited_by IS NULL
       AND NOT EXISTS (SELECT FROM gold_scores x
                        WHERE x.annotation_id = a.annotation_id AND x.version = h.version
                          AND x.gold_id = g.gold_id
                          AND x.unit = p_unit)
$$;

-- Begins and lifts quarantines by what annotators (all when NULL) scored last. Under the floor is a mean of
-- the last p_window probes below p_floor; a pass is a probe at which that mean was not. Answers whose tasks
-- are to be settled anew.
CREATE OR REPLACE FUNCTION review_annotators(p_task_type text, p_annotators text[], p_window integer,
                                             p_floor double precision)
RETURNS TABLE (annotator text, since timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH fresh AS (
        SELECT g.annotator, g.submitted_at, g.score,
               avg(g.score) OVER recent AS mean, count(*) OVER recent AS probes,
               row_number() OVER (PARTITION BY g.annotator
                                  ORDER BY g.submitted_at DESC, g.annotation_id DESC) AS place
          FROM current_gold_scores(p_task_type, p_annotators) g
         WHERE g.submitted_at > coalesce((SELECT max(q.fresh_from) FROM quarantines q
                                           WHERE q.annotator = g.annotator
                                             AND q.task_type = p_task_type), '-infinity')
        WINDOW recent AS (PARTITION BY g.annotator ORDER BY g.submitted_at, g.annotation_id
                          ROWS BETWEEN p_window - 1 PRECEDING AND CURRENT ROW)),
    reviewed AS MATERIALIZED (
        SELECT f.annotator, f.mean, f.probes >= p_window AND f.mean < p_floor AS fails,
               (SELECT max(p.submitted_at) FROM fresh p
                 WHERE p.annotator = f.annotator AND p.probes >= p_window AND p.mean >= p_floor) AS passed_at
          FROM fresh f WHERE f.place = 1),
    lifted AS (
        UPDATE quarantines q SET lifted_at = now(), lifted_by = 'lsloop', reason = 'no longer under the floor'
         WHERE q.task_type = p_task_type AND q.lifted_at IS NULL
           AND (p_annotators IS NULL OR q.annotator = ANY (p_annotators))
           AND NOT EXISTS (SELECT FROM reviewed r WHERE r.annotator = q.annotator AND r.fails)
        RETURNING q.annotator, q.since),
    begun AS (
        INSERT INTO quarantines (annotator, task_type, since, score, floor)
        SELECT r.annotator, p_task_type,
               coalesce(r.passed_at, (SELECT max(q.fresh_from) FROM quarantines q
                                       WHERE q.annotator = r.annotator AND q.task_type = p_task_type)),
               r.mean, p_floor
          FROM reviewed r WHERE r.fails
        ON CONFLICT (annotator, task_type) WHERE lifted_at IS NULL DO NOTHING
        RETURNING quarantines.annotator, quarantines.since)
    SELECT * FROM lifted UNION ALL SELECT * FROM begun;
END $$;

-- What counts of the scores: of each answer that stands, its latest version against the reference that
-- stands.
CREATE OR REPLACE FUNCTION current_gold_scores(p_task_type text DEFAULT NULL,
                                               p_annotators text[] DEFAULT NULL)
RETURNS SETOF gold_scores LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT DISTINCT ON (g.annotation_id) g.*
      FROM gold_scores g JOIN annotations a USING (annotation_id) JOIN gold_standards s USING (gold_id)
     WHERE a.deleted_at IS NULL AND NOT a.was_cancelled AND s.unset_at IS NULL
       AND (p_task_type IS NULL OR g.task_type = p_task_type)
       AND (p_annotators IS NULL OR g.annotator = ANY (p_annotators))
     ORDER BY g.annotation_id, g.version DESC;
END;

-- Whether what an annotator submitted at this moment is held: kept, and not counted until the quarantine is
-- lifted.
CREATE OR REPLACE FUNCTION is_held(p_annotator text, p_task_type text, p_submitted_at timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM quarantines q WHERE q.annotator = p_annotator AND q.task_type = p_task_type
                      AND q.lifted_at IS NULL AND (q.since IS NULL OR p_submitted_at > q.since))
$$;

-- The tasks that a quarantine touches, or touched.
CREATE OR REPLACE FUNCTION tasks_answered_since(p_task_type text, p_annotator text, p_since timestamptz)
RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
    SELECT DISTINCT t.task_key FROM annotations a JOIN tasks t USING (task_key)
     WHERE speaker(a) = p_annotator AND a.ls_updated_at > coalesce(p_since, '-infinity')
       AND a.deleted_at IS NULL
       AND t.task_type = p_task_type AND NOT t.is_gold_probe
       AND t.state IN ('open', 'annotated', 'accepted', 'conflicted')
$$;

-- Lifts an annotator's quarantine by hand; what they scored so far is not held against them again.
-- Answers whose tasks are to be settled anew.
CREATE OR REPLACE FUNCTION release_annotator(p_annotator text, p_task_type text, p_actor text,
                                             p_reason text DEFAULT NULL)
RETURNS TABLE (task_type text, since timestamptz) LANGUAGE sql AS $$
    UPDATE quarantines q SET lifted_at = now(), lifted_by = p_actor, reason = p_reason,
           fresh_from = (SELECT max(g.submitted_at) FROM gold_scores g
                          WHERE g.task_type = q.task_type AND g.annotator = q.annotator)
     WHERE q.annotator = p_annotator AND q.lifted_at IS NULL
       AND (p_task_type IS NULL OR q.task_type = p_task_type)
    RETURNING q.task_type, q.since
$$;

-- The answers of an annotator that wait for somebody to look at them.
CREATE OR REPLACE FUNCTION held_answers(p_annotator text, p_task_type text) RETURNS SETOF annotations
LANGUAGE sql STABLE AS $$
    SELECT a.* FROM annotations a JOIN tasks t USING (task_key)
     WHERE (a.annotator = p_annotator OR a.edited_by = p_annotator) AND speaker(a) = p_annotator
       AND (p_task_type IS NULL OR t.task_type = p_task_type) AND NOT t.is_gold_probe
       AND a.deleted_at IS NULL AND NOT a.was_cancelled AND a.value IS NOT NULL AND t.gone_at IS NULL
       AND t.state IN ('open', 'annotated') AND waits_for_review(a, t.task_type)
$$;

-- Decides about held answers of an annotator, all or those to some tasks of Label Studio; the quarantine goes
-- on. Answers whose tasks are to be settled anew.
CREATE OR REPLACE FUNCTION review_held(
    p_annotator text, p_task_type text, p_ls_task_ids bigint[], p_review text, p_actor text,
    p_reason text DEFAULT NULL
) RETURNS TABLE (task_type text, task_key uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_ids bigint[] := ARRAY(SELECT annotation_id FROM held_answers(p_annotator, p_task_type)
                             WHERE p_ls_task_ids IS NULL OR ls_task_id = ANY (p_ls_task_ids));
BEGIN
    UPDATE annotations SET review = p_review, reviewed_hash = result_hash, reviewed_by = p_actor
     WHERE annotation_id = ANY (v_ids);
    IF v_ids <> '{}' THEN
        PERFORM write_audit(p_actor, p_review, 'annotator ' || p_annotator, p_reason,
                            jsonb_build_object('annotations', v_ids));
    END IF;
    RETURN QUERY SELECT DISTINCT t.task_type, t.task_key FROM annotations a JOIN tasks t USING (task_key)
     WHERE a.annotation_id = ANY (v_ids);
END $$;

-- Tasks of which no answer is left that counts, or may yet: their samples are sent anew, and the rejected
-- answers stay where they are.
CREATE OR REPLACE FUNCTION send_anew(p_task_keys uuid[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_keys uuid[];
BEGIN
    PERFORM 1 FROM samples s JOIN tasks t USING (sample_id) WHERE t.task_key = ANY (p_task_keys)
      ORDER BY sample_id FOR UPDATE OF s;
    PERFORM hold_tasks(p_task_keys);
    v_keys := ARRAY(SELECT task_key FROM tasks t
                     WHERE t.task_key = ANY (p_task_keys) AND t.state IN ('open', 'annotated')
                       AND NOT EXISTS (SELECT FROM annotations a
                                        WHERE a.task_key = t.task_key AND a.deleted_at IS NULL
                                          AND NOT a.was_cancelled
                                          AND review_of(a) IS DISTINCT FROM 'rejected'));
    PERFORM end_tasks(v_keys, 'cancelled');
    RETURN cardinality(v_keys);
END $$;

-- Whether every answer to a probe of a project is to be looked at: references were set or unset, or settings
-- changed, since that was last done. Remembers that it is.
CREATE OR REPLACE FUNCTION is_to_be_examined(p_project_id integer, p_settings jsonb) RETURNS boolean
LANGUAGE sql AS $$
    WITH now_is AS (
        SELECT p_settings || jsonb_build_object('set', count(*), 'unset', count(unset_at)) AS state
          FROM gold_standards),
    remembered AS (
        UPDATE projects SET examined = state FROM now_is
         WHERE project_id = p_project_id AND examined IS DISTINCT FROM state
        RETURNING 1)
    SELECT EXISTS (SELECT FROM remembered)
$$;
