-- Links to media follow their source: what the links of a project's tasks were made of, and which tasks need new ones.
-- depends: 0019.problems
CREATE TABLE media_links (
    project_id integer NOT NULL REFERENCES projects,
    made_of text NOT NULL,
    expires bigint NOT NULL,
    seen_to bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, made_of, expires)
);
COMMENT ON TABLE media_links IS 'links that tasks of a project may carry, written down before the first of them is sent';
COMMENT ON COLUMN media_links.made_of IS 'a fingerprint of the media server''s address and the signing secret; unknown: made before this table';
COMMENT ON COLUMN media_links.expires IS 'until when they are good, in seconds since 1970';
COMMENT ON COLUMN media_links.seen_to IS 'once they are stale: tasks up to this id of Label Studio have new ones';
INSERT INTO media_links (project_id, made_of, expires)
SELECT project_id, 'unknown', 0 FROM projects WHERE ls_project_id IS NOT NULL;

CREATE TABLE links_to_renew (task_key uuid PRIMARY KEY REFERENCES tasks);
COMMENT ON TABLE links_to_renew IS 'tasks whose recording moved, or whose link Label Studio would not take';

-- A recording that moved is the same recording: no sync_version tells of it, also not when it is done by SQL.
CREATE FUNCTION recording_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO links_to_renew (task_key)
    SELECT task_key FROM tasks
     WHERE sample_id = NEW.sample_id AND gone_at IS NULL AND state IN ('claimed', 'open', 'annotated', 'conflicted')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER recording_moved AFTER UPDATE OF media_path ON samples FOR EACH ROW
    WHEN (OLD.media_path IS DISTINCT FROM NEW.media_path AND OLD.media_md5 IS NOT DISTINCT FROM NEW.media_md5)
    EXECUTE FUNCTION recording_moved();
