-- Export: what people accepted, as it stands, and splits that never change.

-- What must not be torn apart by the split: a group; without one the recording, the same under whatever name;
-- else the sample, with those that were made of it to go round again.
CREATE OR REPLACE FUNCTION split_key(s samples) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN s.group_key IS NOT NULL THEN 'group:' || s.group_key
                WHEN s.media_md5 IS NOT NULL THEN 'media:' || s.media_md5
                WHEN s.parent_sample_id IS NULL THEN 'sample:' || s.source || '/' || s.external_id
                ELSE 'sample:' || s.source || '/' || regexp_replace(s.external_id, '(#reflow-\d+)+$', '') END
$$;

-- Where a key falls by itself: the same in every ledger, with these shares.
CREATE OR REPLACE FUNCTION hashed_split(p_split_key text, p_validation double precision,
                                        p_test double precision) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN place < p_test THEN 'test'
                WHEN place < p_test + p_validation THEN 'validation'
                ELSE 'train' END
      FROM (SELECT ('x' || substr(md5(p_split_key), 1, 12))::bit(48)::bigint / 2.0 ^ 48 AS place) hashed
$$;

-- Whether what the annotator judged from is not what the sample has now, and nobody decided that the answer
-- stands.
CREATE OR REPLACE FUNCTION is_outdated(t tasks, s samples) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT source_moved(t, s) OR EXISTS (
        SELECT FROM jsonb_each_text(s.field_versions) v
         WHERE v.key = ANY (t.reads) AND v.key <> ALL (t.writes)
           AND v.value::integer > greatest(t.sync_version, t.settled_version)
           AND CASE WHEN v.key = 'media' THEN s.media_md5 IS DISTINCT FROM t.base ->> 'media_md5'
                    ELSE s.fields -> v.key IS DISTINCT FROM t.base -> 'fields' -> v.key END)
$$;

-- The texts that the annotator judged from, as they were then, with the version of the revision that each of
-- them was (NULL: what upstream said at that sync_version). NULL where there was nothing but a recording.
CREATE OR REPLACE FUNCTION judged_from(t tasks) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN t.reads <> '{media}' THEN jsonb_build_object(
        'fields', only_fields(seen -> 'fields', t.reads), 'sync_version', t.sync_version,
        'revisions', only_fields(coalesce(seen -> 'held', '{}'), t.reads)) END
      FROM coalesce(t.judged_from, t.base) seen
$$;

-- What people accepted for a task type and still stands, with who said it, oldest sample first. Not what is
-- in an open conflict, nor what was judged from content that the sample no longer has, nor what went round
-- again and was answered there. `digest` changes with anything of it; `split` is NULL for gold, for what was
-- not assigned yet (see assign_splits), and for a sample whose group came to be another one's with another
-- split: it neither changes its split nor may it be on both sides. `line` is the line of the index: it
-- differs when anything differs that an export in this layout writes of a sample. Documents are made after
-- the sort, so that they can be read while the next ones are made.
DROP FUNCTION IF EXISTS reviewed(text), reviewed(text, text);
CREATE FUNCTION reviewed(p_task_type text, p_layout text) RETURNS TABLE (
    sample_id uuid, arrival bigint, split text, is_assigned boolean, digest text, line text, document text,
    media_bytes bigint, media_mtime_ns bigint
) LANGUAGE sql STABLE AS $$
    WITH held AS (
        SELECT r.sample_id, max(r.revision_id) AS newest_revision, max(t.reads) AS reads,
               (array_agg(CASE WHEN t.reads <> '{media}' THEN judged_from(t) END
                          ORDER BY r.revision_id DESC))[1] AS judged_from,
               jsonb_object_agg(r.field, jsonb_build_object(
                   'value', r.value, 'revision', r.version, 'origin', r.origin,
                   'annotator', coalesce(speaker(a), r.actor), 'remarks', coalesce(r.remarks, '{}'),
                   'model_version', t.model_version, 'sync_version', t.sync_version,
                   'accepted_at', to_char(r.created_at AT TIME ZONE 'UTC',
                                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) AS answers,
               jsonb_object_agg(r.field, jsonb_build_object(
                   'revision', r.version, 'annotator', coalesce(speaker(a), r.actor),
                   'model_version', t.model_version)) AS said
          FROM tasks t JOIN revisions r USING (task_key) JOIN samples s ON s.sample_id = r.sample_id
          LEFT JOIN annotations a ON a.annotation_id = r.annotation_id
         WHERE t.task_type = p_task_type AND r.field = ANY (t.writes) AND s.deleted_at IS NULL
           -- CASE, because the planner takes the bare comparison for a rare hit and loops over what are all
           -- the rows.
           AND CASE WHEN r.version = (s.held ->> r.field)::integer
                    THEN s.field_versions = '{}' AND t.reads = '{media}' OR NOT is_outdated(t, s) END
         GROUP BY r.sample_id),
    standing AS (
        SELECT s.*, h.newest_revision, h.reads, h.judged_from, h.answers, h.said, split_key(s) AS split_key,
               k.split AS split_of_key
          FROM held h JOIN samples s USING (sample_id) LEFT JOIN splits k ON k.split_key = split_key(s)
         WHERE NOT EXISTS (SELECT FROM conflicts c JOIN tasks o USING (task_key)
                            WHERE c.sample_id = s.sample_id AND c.status = 'open'
                              AND (o.task_type = p_task_type
                                   OR EXISTS (SELECT FROM jsonb_object_keys(h.answers) f
                                               WHERE f = ANY (o.writes))))
           AND NOT EXISTS (SELECT FROM samples c JOIN tasks o ON o.sample_id = c.sample_id
                            WHERE c.parent_sample_id = s.sample_id AND c.deleted_at IS NULL
                              AND o.task_type = p_task_type
                              AND o.state IN ('accepted', 'resolved'))
         -- OFFSET 0: a condition on the split is not to go into this, where the planner may take it for a
         -- rare hit, too.
         ORDER BY s.arrival, s.sample_id OFFSET 0)
    SELECT s.sample_id, s.arrival, found.split,
           s.is_gold_standard OR s.split IS NOT NULL AND s.split_of_key IS NOT NULL,
           found.digest,
           jsonb_build_object(
               'sample_id', s.sample_id, 'split', found.split, 'arrival', s.arrival, 'digest', found.digest,
               'layout', p_layout, 'gold', s.is_gold_standard, 'external_id', s.external_id,
               'source', s.source, 'group', s.group_key,
               'media_md5', CASE WHEN s.media_path IS NOT NULL THEN s.media_md5 END,
               'newest_revision', s.newest_revision, 'dvc_commit_hash', s.dvc_commit_hash,
               'answers', s.said)::text,
           made.document, s.media_bytes, s.media_mtime_ns
      FROM standing s
     CROSS JOIN LATERAL (SELECT (jsonb_build_object(  -- OFFSET 0: made once, though it is used twice
               'sample_id', s.sample_id, 'external_id', s.external_id, 'source', s.source,
               'task_type', p_task_type, 'group', s.group_key, 'gold', s.is_gold_standard,
               'dvc_commit_hash', s.dvc_commit_hash, 'newest_revision', s.newest_revision,
               'answers', s.answers,
               'reads', coalesce(s.judged_from -> 'fields', only_fields(s.fields, s.reads)),
               'media', CASE WHEN s.media_path IS NOT NULL THEN jsonb_build_object(
                   'path', s.media_path, 'md5', s.media_md5, 'duration', s.duration, 'width', s.width,
                   'height', s.height) END)
               || CASE WHEN s.judged_from IS NULL THEN '{}'
                       ELSE jsonb_build_object('judged_from', s.judged_from - 'fields') END
               -- Not judged from nor answered, and what a model's errors are told apart by.
               || CASE WHEN s.fields ? 'language' THEN jsonb_build_object('language', s.fields -> 'language')
                       ELSE '{}' END
               )::text AS document OFFSET 0) made
     CROSS JOIN LATERAL (SELECT md5(made.document || s.split_key) AS digest,
                                CASE WHEN NOT s.is_gold_standard AND s.split_of_key = s.split
                                     THEN s.split END AS split
                         OFFSET 0) found
     ORDER BY s.arrival, s.sample_id
$$;

-- Gives every sample with an accepted value its split, once and for all. A key goes where the first of its
-- samples went that has a split already, else where its hash falls.
DROP FUNCTION IF EXISTS assign_splits(text[], double precision, double precision);
CREATE OR REPLACE FUNCTION assign_splits(p_validation double precision, p_test double precision)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_ids uuid[];
    v_assigned bigint;
BEGIN
    SELECT array_agg(s.sample_id) INTO v_ids FROM samples s LEFT JOIN splits k ON k.split_key = split_key(s)
     WHERE s.held <> '{}' AND s.deleted_at IS NULL AND NOT s.is_gold_standard
       AND (s.split IS NULL OR k.split IS NULL);
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM samples s WHERE s.sample_id = ANY (v_ids) ORDER BY s.sample_id FOR UPDATE;
    INSERT INTO splits (split_key, split)
    SELECT key, coalesce((array_agg(split ORDER BY arrival) FILTER (WHERE split IS NOT NULL))[1],
                         hashed_split(key, p_validation, p_test))
      FROM (SELECT split_key(s) AS key, s.split, s.arrival FROM samples s
             WHERE s.sample_id = ANY (v_ids)) needed
     GROUP BY key ORDER BY key
    ON CONFLICT DO NOTHING;
    UPDATE samples s SET split = k.split FROM splits k
     WHERE s.sample_id = ANY (v_ids) AND s.split IS NULL AND k.split_key = split_key(s);
    GET DIAGNOSTICS v_assigned = ROW_COUNT;
    RETURN v_assigned;
END $$;

-- A digest of all that an export of a task type would hold.
CREATE OR REPLACE FUNCTION watermark(p_task_type text) RETURNS TABLE (samples bigint, digest text)
LANGUAGE sql STABLE AS $$
    SELECT count(*), md5(coalesce(string_agg(r.sample_id::text || r.digest, '' ORDER BY r.sample_id), ''))
      FROM reviewed(p_task_type, '') r
$$;

-- A digest that differs whenever any row differs that reviewed() reads. PostgreSQL never changes a row where
-- it lies: who wrote it (xmin) and where it lies (ctid) name its content. It also differs when only the place
-- does, after a VACUUM FULL.
CREATE OR REPLACE FUNCTION export_state() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT md5(concat_ws(' ',
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        (SELECT digest FROM schema_code),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM samples),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM tasks),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM revisions),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM annotations),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM conflicts),
        (SELECT count(*) || ':' || sum(hashtextextended(xmin::text, hashtid(ctid))) FROM splits)))
$$;
