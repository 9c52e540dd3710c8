-- The tables of the ledger. Terms, states and reasons: docs/design.md.
-- depends:

CREATE TABLE samples (
    sample_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    source text NOT NULL DEFAULT 'default',
    external_id text NOT NULL CHECK (external_id <> ''),
    fields jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(fields) = 'object'),
    upstream jsonb,
    held jsonb NOT NULL DEFAULT '{}',
    field_versions jsonb NOT NULL DEFAULT '{}',
    sync_version integer NOT NULL DEFAULT 1 CHECK (sync_version >= 1),
    media_path text,
    media_md5 text,
    media_bytes bigint,
    media_mtime_ns bigint,
    duration double precision,
    width integer,
    height integer,
    group_key text,
    split text CHECK (split IN ('train', 'validation', 'test')),
    priority integer NOT NULL DEFAULT 0,
    dvc_commit_hash text,
    parent_sample_id uuid REFERENCES samples,
    is_gold_standard boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    UNIQUE (source, external_id)
);
COMMENT ON COLUMN samples.fields IS 'the current value of every field';
COMMENT ON COLUMN samples.upstream IS 'what upstream last said of every field; NULL: the same as fields';
COMMENT ON COLUMN samples.held IS 'fields whose current value people accepted, with the version of that revision: upstream never overwrites these';
COMMENT ON COLUMN samples.field_versions IS 'the sync_version at which each field, or media, last changed upstream; absent: 1';
CREATE INDEX samples_by_arrival ON samples (arrival);

CREATE TABLE projects (
    project_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_type text NOT NULL,
    server text NOT NULL,
    ls_project_id integer,
    marker uuid NOT NULL DEFAULT gen_random_uuid(),
    label_config text,
    asked_at timestamptz,
    asks integer NOT NULL DEFAULT 0,
    cursor timestamptz,
    pulled_at timestamptz,
    foreign_tasks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (task_type, server)
);
COMMENT ON COLUMN projects.marker IS 'written into the description of the Label Studio project, so that it is found again';
COMMENT ON COLUMN projects.asked_at IS 'just before Label Studio was last asked to make it';
COMMENT ON COLUMN projects.asks IS 'how many requests asked for it; above 1 a second one is possible';
COMMENT ON COLUMN projects.foreign_tasks IS 'tasks in the Label Studio project that are not ours, at the last sweep of its ids';
COMMENT ON COLUMN projects.cursor IS 'everything that changed in Label Studio before this moment of its clock is in the ledger';

CREATE TABLE predictions (
    prediction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id uuid NOT NULL REFERENCES samples,
    task_type text NOT NULL,
    model_version text NOT NULL,
    value jsonb NOT NULL,
    score double precision,
    uncertainty double precision,
    sync_version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sample_id, task_type, model_version)
);

CREATE TABLE tasks (
    task_key uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sample_id uuid NOT NULL REFERENCES samples,
    task_type text NOT NULL,
    project_id integer NOT NULL REFERENCES projects,
    ls_task_id bigint,
    state text NOT NULL DEFAULT 'claimed'
        CHECK (state IN ('claimed', 'open', 'annotated', 'conflicted', 'accepted', 'resolved', 'cancelled')),
    sync_version integer NOT NULL,
    reads text[] NOT NULL,
    writes text[] NOT NULL,
    base jsonb NOT NULL,
    prediction_id bigint REFERENCES predictions,
    model_version text,
    is_gold_probe boolean NOT NULL DEFAULT false,
    overlap integer NOT NULL DEFAULT 1 CHECK (overlap >= 1),
    claimed_by text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    sends integer NOT NULL DEFAULT 0,
    opened_at timestamptz,
    finished_at timestamptz,
    gone_at timestamptz,
    skips integer NOT NULL DEFAULT 0,
    ls_updated_at timestamptz,
    accepted_annotation_id bigint,
    accepted_hash text,
    CHECK (state IN ('claimed', 'cancelled') OR ls_task_id IS NOT NULL)
);
COMMENT ON COLUMN tasks.base IS 'the sample as it was sent: its fields, and its media';
COMMENT ON COLUMN tasks.sent_at IS 'just before the request went out; NULL: Label Studio cannot have it yet';
COMMENT ON COLUMN tasks.gone_at IS 'when it was found to be deleted in Label Studio';
COMMENT ON COLUMN tasks.sends IS 'how many requests carried it; above 1 a twin is possible';
CREATE UNIQUE INDEX one_live_task ON tasks (sample_id, task_type)
    WHERE state IN ('claimed', 'open', 'annotated', 'conflicted');
-- On SQLite, Label Studio gives the ids of deleted tasks to new ones.
CREATE UNIQUE INDEX one_row_per_label_studio_task ON tasks (project_id, ls_task_id) WHERE gone_at IS NULL;
CREATE INDEX tasks_of_sample ON tasks (sample_id, task_type);
CREATE INDEX tasks_claimed ON tasks (project_id) WHERE state = 'claimed';
CREATE INDEX tasks_sent_again ON tasks (project_id) WHERE sends > 1;
CREATE INDEX tasks_by_state ON tasks (task_type, state);

CREATE TABLE locks (
    lock_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id uuid NOT NULL REFERENCES samples,
    task_type text,
    locked_by text NOT NULL CHECK (locked_by <> ''),
    token uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    task_key uuid REFERENCES tasks,
    locked_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    released_at timestamptz,
    CHECK (expires_at IS NOT NULL OR task_key IS NOT NULL)
);
COMMENT ON COLUMN locks.task_type IS 'NULL: every task type';
COMMENT ON COLUMN locks.expires_at IS 'NULL: bound to a task, however long the annotator takes; it ends when the task does';
CREATE UNIQUE INDEX one_live_lock ON locks (sample_id, coalesce(task_type, '')) WHERE released_at IS NULL;
CREATE INDEX locks_of_task ON locks (task_key) WHERE released_at IS NULL;

CREATE TABLE annotations (
    annotation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL,
    ls_annotation_id bigint NOT NULL,
    task_key uuid NOT NULL REFERENCES tasks,
    ls_task_id bigint NOT NULL,
    annotator text NOT NULL,
    result jsonb NOT NULL,
    value jsonb,
    problem text,
    result_hash text NOT NULL,
    was_cancelled boolean NOT NULL,
    ground_truth boolean NOT NULL,
    lead_time double precision,
    ls_created_at timestamptz NOT NULL,
    ls_updated_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    -- The key, too: a Label Studio that was set up anew begins again at 1.
    UNIQUE (server, ls_annotation_id, task_key)
);
COMMENT ON COLUMN annotations.result IS 'as received';
COMMENT ON COLUMN annotations.value IS 'as understood by the task type; NULL with the reason in problem';
COMMENT ON COLUMN annotations.lead_time IS 'seconds';
CREATE INDEX annotations_of_task ON annotations (task_key);

CREATE TABLE annotation_history (
    annotation_id bigint NOT NULL REFERENCES annotations,
    version integer NOT NULL,
    result jsonb NOT NULL,
    value jsonb,
    result_hash text NOT NULL,
    was_cancelled boolean NOT NULL,
    ground_truth boolean NOT NULL,
    ls_updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (annotation_id, version)
);
COMMENT ON TABLE annotation_history IS 'every version of every annotation that was ever seen';

CREATE TABLE revisions (
    revision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id uuid NOT NULL REFERENCES samples,
    field text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    value jsonb,
    origin text NOT NULL CHECK (origin IN ('upstream', 'model', 'human', 'merged')),
    remarks jsonb,
    task_key uuid REFERENCES tasks,
    annotation_id bigint REFERENCES annotations,
    model_version text,
    actor text NOT NULL,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sample_id, field, version)
);
COMMENT ON TABLE revisions IS 'append only; a field without a row has had one value, the one upstream first gave';
CREATE INDEX revisions_of_task ON revisions (task_key) WHERE task_key IS NOT NULL;

CREATE TABLE conflicts (
    conflict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_key uuid NOT NULL REFERENCES tasks,
    annotation_id bigint NOT NULL REFERENCES annotations,
    sample_id uuid NOT NULL REFERENCES samples,
    fields text[] NOT NULL,
    base jsonb NOT NULL,
    ours jsonb NOT NULL,
    theirs jsonb NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved')),
    resolution text CHECK (resolution IN ('human_wins', 'crawler_wins', 'merged', 'pending_reflow')),
    reason text NOT NULL,
    actor text,
    reflow_sample_id uuid REFERENCES samples,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CHECK ((status = 'resolved') = (resolution IS NOT NULL))
);
COMMENT ON COLUMN conflicts.ours IS 'what the annotator answered';
COMMENT ON COLUMN conflicts.theirs IS 'what upstream, or a newer revision, says now';
CREATE UNIQUE INDEX one_open_conflict ON conflicts (task_key) WHERE status = 'open';

CREATE TABLE schema_code (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    digest text NOT NULL
);
COMMENT ON TABLE schema_code IS 'the digest of the functions and views that were last installed';
