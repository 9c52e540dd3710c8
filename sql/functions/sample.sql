-- Samples: what upstream says, compared with what it said before.

-- Whether a sample has all that a task type reads, and its media file can be shown.
CREATE OR REPLACE FUNCTION has_all(s samples, p_reads text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT s.fields ?& array_remove(p_reads, 'media')
       AND (s.media_path IS NOT NULL AND s.media_problem IS NULL OR NOT 'media' = ANY (p_reads))
$$;

-- The names of the fields in which two objects differ.
CREATE OR REPLACE FUNCTION changed_fields(p_old jsonb, p_new jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(key ORDER BY key), '{}')
      FROM (SELECT key FROM jsonb_object_keys(p_old) key
            UNION SELECT key FROM jsonb_object_keys(p_new) key) keys
     WHERE p_old -> key IS DISTINCT FROM p_new -> key
$$;

-- An object with only the named keys, those it has.
CREATE OR REPLACE FUNCTION only_fields(p_fields jsonb, p_names text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(p_fields) WHERE key = ANY (p_names)
$$;

-- Whether one of the named fields (or media) changed upstream after p_sync_version.
CREATE OR REPLACE FUNCTION changed_since(p_field_versions jsonb, p_names text[], p_sync_version integer)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (SELECT FROM jsonb_each_text(p_field_versions)
                    WHERE key = ANY (p_names) AND value::integer > p_sync_version)
$$;

-- A field's first value gets its row when the second arrives: bulk ingest of a million samples writes no
-- history that the sample itself does not already hold.
CREATE OR REPLACE FUNCTION append_revision(
    p_sample_id uuid, p_field text, p_first jsonb, p_value jsonb, p_origin text, p_actor text,
    p_reason text DEFAULT NULL, p_remarks jsonb DEFAULT NULL, p_task_key uuid DEFAULT NULL,
    p_annotation_id bigint DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_last integer;
BEGIN
    SELECT max(version) INTO v_last FROM revisions WHERE sample_id = p_sample_id AND field = p_field;
    IF v_last IS NULL AND p_first IS NOT NULL THEN
        INSERT INTO revisions (sample_id, field, version, value, origin, actor, created_at)
        SELECT p_sample_id, p_field, 1, p_first, 'upstream', source, created_at FROM samples
         WHERE sample_id = p_sample_id;
        v_last := 1;
    END IF;
    INSERT INTO revisions (sample_id, field, version, value, origin, actor, reason, remarks, task_key,
                           annotation_id)
    VALUES (p_sample_id, p_field, coalesce(v_last, 0) + 1, p_value, p_origin, p_actor, p_reason, p_remarks,
            p_task_key, p_annotation_id);
    RETURN coalesce(v_last, 0) + 1;
END $$;

-- A sample as it is once upstream says this of it; what it said before and what it says now go into the
-- history. A field that people hold keeps their value; upstream's stands in the history.
CREATE OR REPLACE FUNCTION with_upstream(
    v samples, p_fields jsonb, p_media_path text, p_media_md5 text, p_actor text
) RETURNS samples LANGUAGE plpgsql AS $$
DECLARE
    v_old jsonb := coalesce(v.upstream, v.fields);
    v_changed text[] := changed_fields(v_old, p_fields);
    -- Of two files of which nothing is known, another path is another file.
    v_media_changed boolean := v.media_md5 IS DISTINCT FROM p_media_md5
        OR p_media_md5 IS NULL AND v.media_path IS DISTINCT FROM p_media_path;
    v_field text;
BEGIN
    IF v_changed = '{}' AND NOT v_media_changed THEN
        RETURN v;
    END IF;
    v.sync_version := v.sync_version + 1;
    FOREACH v_field IN ARRAY v_changed LOOP
        PERFORM append_revision(v.sample_id, v_field, v_old -> v_field, p_fields -> v_field, 'upstream',
                                p_actor,
                                CASE WHEN v.held ? v_field THEN 'kept aside: people hold this field' END);
        v.field_versions := v.field_versions || jsonb_build_object(v_field, v.sync_version);
        CONTINUE WHEN v.held ? v_field;
        v.fields := CASE WHEN p_fields ? v_field
                         THEN v.fields || jsonb_build_object(v_field, p_fields -> v_field)
                         ELSE v.fields - v_field END;
    END LOOP;
    IF v_media_changed THEN
        PERFORM append_revision(v.sample_id, 'media',
                                jsonb_build_object('path', v.media_path, 'md5', v.media_md5),
                                jsonb_build_object('path', p_media_path, 'md5', p_media_md5),
                                'upstream', p_actor);
        v.field_versions := v.field_versions || jsonb_build_object('media', v.sync_version);
    END IF;
    v.upstream := CASE WHEN v.fields = p_fields THEN NULL ELSE p_fields END;
    v.media_path := p_media_path;
    v.media_md5 := p_media_md5;
    v.dvc_commit_hash := nullif(current_setting('lsloop.dvc_commit', true), '');
    RETURN v;
END $$;

-- One sample's new upstream state; answers its version.
CREATE OR REPLACE FUNCTION change_upstream(
    p_sample_id uuid, p_fields jsonb, p_media_path text, p_media_md5 text, p_actor text
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_old samples;
    v samples;
    v_was boolean := is_writing_of_ours();
BEGIN
    SELECT * INTO STRICT v_old FROM samples WHERE sample_id = p_sample_id FOR UPDATE;
    v := with_upstream(v_old, p_fields, p_media_path, p_media_md5, p_actor);
    IF v.sync_version <> v_old.sync_version THEN
        PERFORM writing_of_ours(true);
        UPDATE samples SET fields = v.fields, upstream = v.upstream, field_versions = v.field_versions,
               sync_version = v.sync_version, media_path = v.media_path, media_md5 = v.media_md5,
               dvc_commit_hash = v.dvc_commit_hash, updated_at = now()
         WHERE sample_id = p_sample_id;
        PERFORM writing_of_ours(v_was);
    END IF;
    RETURN v.sync_version;
END $$;

-- Brings the ledger up to the temporary table `incoming` (see ledger/samples.py), which holds each sample
-- once.
CREATE OR REPLACE FUNCTION upsert_samples()
RETURNS TABLE (added bigint, changed bigint, restored bigint, total bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_added bigint;
    v_changed bigint;
    v_restored bigint;
    v_total bigint;
BEGIN
    PERFORM writing_of_ours(true);
    INSERT INTO samples (source, external_id, fields, media_path, media_md5, media_bytes, media_mtime_ns,
                         media_type, duration, width, height, frame_rate, frames, pages, media_problem,
                         group_key, priority)
    SELECT i.source, i.external_id, i.fields, i.media_path, i.media_md5, i.media_bytes, i.media_mtime_ns,
           i.media_type, i.duration, i.width, i.height, i.frame_rate, i.frames, i.pages, i.media_problem,
           i.group_key, i.priority
      FROM incoming i
     WHERE NOT EXISTS (SELECT FROM samples s WHERE s.source = i.source AND s.external_id = i.external_id)
     ORDER BY i.line
    ON CONFLICT (source, external_id) DO NOTHING;
    GET DIAGNOSTICS v_added = ROW_COUNT;
    SELECT count(*) INTO v_total FROM incoming;
    IF v_added = v_total THEN
        PERFORM writing_of_ours(false);
        RETURN QUERY SELECT v_added, 0::bigint, 0::bigint, v_total;
        RETURN;
    END IF;

    CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
    SELECT s.sample_id, i.*, s.deleted_at IS NOT NULL AS was_deleted,
           coalesce(s.upstream, s.fields) <> i.fields OR s.media_md5 IS DISTINCT FROM i.media_md5 AS content
      FROM incoming i JOIN samples s USING (source, external_id)
     WHERE (coalesce(s.upstream, s.fields), s.media_path, s.media_md5, s.media_mtime_ns, s.media_type,
            s.media_problem, s.group_key, s.priority)
           IS DISTINCT FROM (i.fields, i.media_path, i.media_md5, i.media_mtime_ns, i.media_type,
                             i.media_problem, i.group_key, i.priority)
        OR s.deleted_at IS NOT NULL;
    PERFORM hold_with_children(array_agg(sample_id)) FROM differing;
    PERFORM change_upstream(d.sample_id, d.fields, d.media_path, d.media_md5, d.source)
       FROM (SELECT * FROM differing WHERE content ORDER BY sample_id) d;
    UPDATE samples s
       SET media_path = d.media_path, media_bytes = d.media_bytes, media_mtime_ns = d.media_mtime_ns,
           media_type = d.media_type, duration = d.duration, width = d.width, height = d.height,
           frame_rate = d.frame_rate, frames = d.frames, pages = d.pages, media_problem = d.media_problem,
           group_key = d.group_key, priority = d.priority, deleted_at = NULL, updated_at = now()
      FROM differing d WHERE d.sample_id = s.sample_id;
    PERFORM writing_of_ours(false);
    PERFORM follow_parents(array_agg(sample_id)) FROM differing;
    SELECT count(*) FILTER (WHERE content), count(*) FILTER (WHERE was_deleted) INTO v_changed, v_restored
      FROM differing;
    DROP TABLE differing;
    RETURN QUERY SELECT v_added, v_changed, v_restored, v_total;
END $$;
