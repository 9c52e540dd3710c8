-- What left the ledger, and the split that each sample belongs to for ever.
-- depends: 0002.conflicts

CREATE TABLE splits (
    split_key text PRIMARY KEY,
    split text NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    assigned_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE splits IS 'the split of everything that must stay together: a speaker, a video, a page, one recording';
COMMENT ON COLUMN splits.split_key IS 'see split_key(samples)';

CREATE TABLE exports (
    export_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination text NOT NULL,
    layout text NOT NULL,
    manifest jsonb NOT NULL,
    manifest_sha256 text NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE exports IS 'every export that changed something at its destination';
COMMENT ON COLUMN exports.destination IS 'machine and folder';
CREATE INDEX exports_of_destination ON exports (destination, export_id);

CREATE TABLE exported_samples (
    sample_id uuid NOT NULL REFERENCES samples,
    task_type text NOT NULL,
    destination text NOT NULL,
    export_id bigint NOT NULL REFERENCES exports,
    revisions jsonb NOT NULL,
    digest text NOT NULL,
    removed_by bigint REFERENCES exports,
    PRIMARY KEY (sample_id, task_type, destination)
);
COMMENT ON COLUMN exported_samples.export_id IS 'the export, and so the manifest, that wrote it last';
COMMENT ON COLUMN exported_samples.revisions IS 'field → version of the revision that is there';
COMMENT ON COLUMN exported_samples.digest IS 'of all that is there; see reviewed(text)';
COMMENT ON COLUMN exported_samples.removed_by IS 'the export that took it away again';

-- Which commit of the project folder a sample's content came with: what the ingest says, for new content only.
ALTER TABLE samples ALTER COLUMN dvc_commit_hash SET DEFAULT nullif(current_setting('lsloop.dvc_commit', true), '');
COMMENT ON COLUMN samples.dvc_commit_hash IS 'the git commit that the data was at when this content was ingested; NULL: not known';
