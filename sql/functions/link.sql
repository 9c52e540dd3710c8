-- Links to media follow their source. A recording that moved is the same recording: no sync_version tells of
-- it, also not when it is done by SQL. Its trigger is made by a migration.
CREATE OR REPLACE FUNCTION recording_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO links_to_renew (task_key)
    SELECT task_key FROM tasks WHERE sample_id = NEW.sample_id AND gone_at IS NULL AND is_live
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
