-- Upstream by SQL: what a crawler writes into `samples`, by upsert_sample or by statements of its own, means
-- what the same line of metadata.jsonl would mean to an ingest: versions, history, conflicts and refreshes
-- follow.

-- The one spelling of a path inside data/raw. Raises for what names no file there (as lsloop.media.paths
-- does).
CREATE OR REPLACE FUNCTION plain_path(p_path text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_path ~ '^/|/$|(^|/)\.\.(/|$)|\\|[[:cntrl:]]' THEN
        PERFORM refuse(format('media %s is no path of a file inside data/raw', to_json(p_path)),
                       'Name it relative to data/raw, with forward slashes, without "..", '
                       'control characters or a slash at the end.');
    END IF;
    RETURN nullif(array_to_string(ARRAY(
        SELECT part FROM unnest(string_to_array(p_path, '/')) WITH ORDINALITY p(part, place)
         WHERE part NOT IN ('', '.') ORDER BY place), '/'), '');
END $$;

-- Texts in normal form C, as an ingest writes them: one text typed on two keyboards is one text.
CREATE OR REPLACE FUNCTION in_normal_form(p_fields jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_fields::text IS NFC NORMALIZED THEN p_fields
                ELSE normalize(p_fields::text, NFC)::jsonb END
$$;

-- Whether a row is being written by a function of ours that has thought of all this already.
CREATE OR REPLACE FUNCTION writing_of_ours(p_is boolean) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('lsloop.writing', CASE WHEN p_is THEN 'on' ELSE '' END, true)
$$;
CREATE OR REPLACE FUNCTION is_writing_of_ours() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT current_setting('lsloop.writing', true) IS NOT DISTINCT FROM 'on'
$$;

CREATE OR REPLACE FUNCTION sample_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.source := normalize(NEW.source, NFC);
    NEW.external_id := normalize(NEW.external_id, NFC);
    NEW.fields := in_normal_form(NEW.fields);
    NEW.media_path := plain_path(NEW.media_path);
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER sample_inserted BEFORE INSERT ON samples FOR EACH ROW
    WHEN (current_setting('lsloop.writing', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION sample_inserted();

-- A statement of somebody else's changed the content: that is what upstream says now. What it left as it was,
-- it did not speak of; where people hold a field, their value stays, and what was written stands beside it.
-- Who holds what, and what changed when, is the ledger's to say: a program that writes back the whole row
-- that it read writes back what was so then.
CREATE OR REPLACE FUNCTION sample_changed_by_sql() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_spoken text[];
    v samples;
BEGIN
    NEW.fields := in_normal_form(NEW.fields);
    NEW.media_path := plain_path(NEW.media_path);
    IF NEW.media_path IS DISTINCT FROM OLD.media_path
       AND NEW.media_md5 IS NOT DISTINCT FROM OLD.media_md5 THEN
        NEW.media_md5 := NULL;  -- another file, of which nothing is known yet
    END IF;
    IF NEW.media_md5 IS DISTINCT FROM OLD.media_md5
       AND NEW.media_mtime_ns IS NOT DISTINCT FROM OLD.media_mtime_ns THEN
        NEW.media_bytes := NULL;  -- the next ingest measures it
        NEW.media_mtime_ns := NULL;
        NEW.media_type := NULL;
        NEW.media_problem := NULL;
    END IF;
    v_spoken := changed_fields(OLD.fields, NEW.fields);
    v := with_upstream(OLD, coalesce(OLD.upstream, OLD.fields) - v_spoken
                            || only_fields(NEW.fields, v_spoken),
                       NEW.media_path, NEW.media_md5, NEW.source);
    NEW.fields := v.fields;
    NEW.held := OLD.held;
    NEW.upstream := v.upstream;
    NEW.field_versions := v.field_versions;
    NEW.sync_version := greatest(v.sync_version, NEW.sync_version);
    IF NEW.dvc_commit_hash IS NOT DISTINCT FROM OLD.dvc_commit_hash THEN
        NEW.dvc_commit_hash := v.dvc_commit_hash;
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER sample_changed_by_sql BEFORE UPDATE ON samples FOR EACH ROW
    WHEN (((OLD.fields, OLD.media_path, OLD.media_md5, OLD.held, OLD.upstream, OLD.field_versions)
           IS DISTINCT FROM
           (NEW.fields, NEW.media_path, NEW.media_md5, NEW.held, NEW.upstream, NEW.field_versions)
           OR NEW.sync_version < OLD.sync_version)
          AND current_setting('lsloop.writing', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION sample_changed_by_sql();

-- What went round again has the content of the sample that it was made of, whoever changes that.
CREATE OR REPLACE FUNCTION sample_has_children() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM follow_parents(ARRAY[NEW.sample_id]);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER sample_has_children AFTER UPDATE ON samples FOR EACH ROW
    WHEN ((coalesce(OLD.upstream, OLD.fields), OLD.media_path, OLD.media_md5, OLD.deleted_at)
          IS DISTINCT FROM (coalesce(NEW.upstream, NEW.fields), NEW.media_path, NEW.media_md5,
                            NEW.deleted_at))
    EXECUTE FUNCTION sample_has_children();

CREATE OR REPLACE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(format('sample %s is not deleted: people may have worked on it', OLD.external_id),
                   'Mark it: UPDATE samples SET deleted_at = now() WHERE …; it is sent to nobody then, '
                   'and what was said stays.');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER samples_are_kept BEFORE DELETE ON samples FOR EACH ROW
    EXECUTE FUNCTION refuse_delete();

-- What was measured of recordings that came by SQL (the temporary table `measured`), and why some cannot be
-- shown. A digest that somebody gave stays.
CREATE OR REPLACE FUNCTION fill_in_media() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM writing_of_ours(true);
    UPDATE samples s
       SET media_md5 = coalesce(s.media_md5, m.md5), media_bytes = m.size, media_mtime_ns = m.mtime_ns,
           media_type = m.media_type, duration = coalesce(m.duration, s.duration), width = m.width,
           height = m.height, frame_rate = m.frame_rate, frames = m.frames, pages = m.pages,
           media_problem = m.media_problem, updated_at = now()
      FROM measured m WHERE m.path = s.media_path AND s.media_bytes IS NULL AND s.deleted_at IS NULL
       AND (m.media_type IS NOT NULL OR s.media_problem IS DISTINCT FROM m.media_problem);
    PERFORM writing_of_ours(false);
END $$;

-- For any program: all that upstream says of one sample, as a line of metadata.jsonl says it. What is not
-- given is not there, but for the digest of a recording whose path is the same. A sample that was marked as
-- deleted is back. Answers what became of it: added, changed, restored or unchanged.
DROP FUNCTION IF EXISTS upsert_sample(text, text, jsonb, text, text, text, integer, double precision);
CREATE FUNCTION upsert_sample(
    p_source text, p_external_id text, p_fields jsonb, p_media_path text DEFAULT NULL,
    p_media_md5 text DEFAULT NULL, p_group_key text DEFAULT NULL, p_priority integer DEFAULT 0,
    p_duration double precision DEFAULT NULL
) RETURNS TABLE (sample_id uuid, sync_version integer, became text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v samples;
    v_path text := plain_path(p_media_path);
    v_md5 text := CASE WHEN p_media_path IS NOT NULL THEN lower(p_media_md5) END;
    v_version integer;
BEGIN
    IF jsonb_typeof(p_fields) IS DISTINCT FROM 'object' OR coalesce(btrim(p_external_id), '') = '' THEN
        PERFORM refuse('a sample has an external_id and its fields as a JSON object');
    END IF;
    INSERT INTO samples AS s (source, external_id, fields, media_path, media_md5, group_key, priority,
                              duration)
    VALUES (coalesce(p_source, 'default'), p_external_id, p_fields, v_path, v_md5, p_group_key,
            coalesce(p_priority, 0), p_duration)
    ON CONFLICT (source, external_id) DO NOTHING RETURNING s.* INTO v;
    IF FOUND THEN
        RETURN QUERY SELECT v.sample_id, v.sync_version, 'added'::text;
        RETURN;
    END IF;
    SELECT s.* INTO STRICT v FROM samples s
     WHERE s.source = normalize(coalesce(p_source, 'default'), NFC)
       AND s.external_id = normalize(p_external_id, NFC);
    PERFORM hold_with_children(ARRAY[v.sample_id]);
    SELECT s.* INTO STRICT v FROM samples s WHERE s.sample_id = v.sample_id;
    IF v_md5 IS NULL AND v_path IS NOT DISTINCT FROM v.media_path THEN
        v_md5 := v.media_md5;
    END IF;
    v_version := change_upstream(v.sample_id, in_normal_form(p_fields), v_path, v_md5, v.source);
    PERFORM writing_of_ours(true);
    UPDATE samples s
       SET media_path = v_path, group_key = p_group_key, priority = coalesce(p_priority, 0),
           deleted_at = NULL,
           duration = coalesce(p_duration,
                               CASE WHEN v_md5 IS NOT DISTINCT FROM v.media_md5 THEN s.duration END),
           media_bytes = CASE WHEN v_md5 IS NOT DISTINCT FROM v.media_md5 THEN s.media_bytes END,
           media_mtime_ns = CASE WHEN v_md5 IS NOT DISTINCT FROM v.media_md5 THEN s.media_mtime_ns END,
           media_type = CASE WHEN v_md5 IS NOT DISTINCT FROM v.media_md5 THEN s.media_type END,
           media_problem = CASE WHEN v_md5 IS NOT DISTINCT FROM v.media_md5
                                 AND v_path IS NOT DISTINCT FROM v.media_path
                                THEN s.media_problem END
     WHERE s.sample_id = v.sample_id
       AND (v_version <> v.sync_version OR v.deleted_at IS NOT NULL
            OR (s.media_path, s.group_key, s.priority, s.duration)
               IS DISTINCT FROM (v_path, p_group_key, coalesce(p_priority, 0),
                                 coalesce(p_duration, s.duration)));
    PERFORM writing_of_ours(false);
    PERFORM follow_parents(ARRAY[v.sample_id]);
    RETURN QUERY SELECT v.sample_id, v_version, CASE WHEN v.deleted_at IS NOT NULL THEN 'restored'
                                                     WHEN v_version <> v.sync_version THEN 'changed'
                                                     ELSE 'unchanged' END;
END $$;
