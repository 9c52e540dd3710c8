-- Predictions: one per model version and content, and who is at which sample.
-- depends: 0004.export

-- What a task showed stays as it was when the same model answers for newer content.
ALTER TABLE predictions DROP CONSTRAINT predictions_sample_id_task_type_model_version_key,
                        ADD UNIQUE (sample_id, task_type, model_version, sync_version);
COMMENT ON COLUMN predictions.sync_version IS 'of the sample when it was read';
COMMENT ON COLUMN predictions.uncertainty IS 'from 0 (certain) to 1, by the model''s own measure';

CREATE SEQUENCE prediction_workers;
CREATE UNLOGGED TABLE prediction_claims (
    sample_id uuid NOT NULL REFERENCES samples,
    task_type text NOT NULL,
    claimed_by bigint NOT NULL,
    PRIMARY KEY (sample_id, task_type)
);
COMMENT ON TABLE prediction_claims IS 'samples that a worker predicts for just now';
COMMENT ON COLUMN prediction_claims.claimed_by IS 'the advisory lock that the worker''s session holds: without it the claim is nobody''s';
CREATE INDEX prediction_claims_of_worker ON prediction_claims (claimed_by);
