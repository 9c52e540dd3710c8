-- Models: what each training run made of which data, which version is in use, and which runs were asked for.
-- depends: 0004.export

CREATE TABLE model_versions (
    version text PRIMARY KEY CHECK (version <> ''),
    task_type text NOT NULL,
    path text NOT NULL,
    weights text NOT NULL,
    base text NOT NULL,
    base_version text REFERENCES model_versions,
    data_sha256 text NOT NULL,
    params jsonb NOT NULL,
    seed bigint NOT NULL,
    code_version text NOT NULL,
    metrics jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    replaces text REFERENCES model_versions,
    promoted_at timestamptz,
    demoted_at timestamptz,
    CHECK (promoted_at IS NOT NULL OR demoted_at IS NULL)
);
CREATE UNIQUE INDEX one_promoted_model ON model_versions (task_type) WHERE promoted_at IS NOT NULL AND demoted_at IS NULL;
CREATE INDEX models_of_task_type ON model_versions (task_type, created_at);
COMMENT ON TABLE model_versions IS 'every model that a training run made, with all that it was made of';
COMMENT ON COLUMN model_versions.version IS 'from the weights and the data: the same for the same two';
COMMENT ON COLUMN model_versions.path IS 'its folder, relative to the project folder';
COMMENT ON COLUMN model_versions.weights IS 'their fingerprint: other weights than these are another model';
COMMENT ON COLUMN model_versions.base IS 'what it was fine-tuned from: a version, a folder, or a hub id';
COMMENT ON COLUMN model_versions.data_sha256 IS 'of the index of the exported folder';
COMMENT ON COLUMN model_versions.replaces IS 'the version that was in use before it was promoted; NULL: none, so the base';

CREATE TABLE trainings (
    training_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_type text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'superseded')),
    requested_by text NOT NULL CHECK (requested_by <> ''),
    reason text,
    milestone integer,
    job_id bigint,
    run jsonb,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    resumed integer NOT NULL DEFAULT 0,
    outcome text,
    error text,
    model_version text REFERENCES model_versions,
    UNIQUE (task_type, milestone)
);
CREATE UNIQUE INDEX one_running_training ON trainings (task_type) WHERE state = 'running';
CREATE INDEX trainings_queued ON trainings (task_type) WHERE state = 'queued';
COMMENT ON TABLE trainings IS 'every training that somebody or something asked for';
COMMENT ON COLUMN trainings.milestone IS 'of a training that nobody asked for: how many accepted annotations called for it, once';
COMMENT ON COLUMN trainings.run IS 'base, data, params and seed: a killed run goes on where these are the same';
COMMENT ON COLUMN trainings.outcome IS 'what became of it, in one sentence';
