-- What a step could not take, set aside with the reason: one record never stops the others.
-- depends: 0018.sent_again

CREATE TABLE problems (
    problem_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL,
    task_type text NOT NULL DEFAULT '',
    subject text NOT NULL,
    key text NOT NULL,
    sample_id uuid REFERENCES samples,
    annotator text NOT NULL DEFAULT '',
    ls_project_id bigint,
    ls_task_id bigint,
    reason text NOT NULL,
    fix text NOT NULL DEFAULT '',
    sync_version integer,
    digest text NOT NULL DEFAULT '',
    times integer NOT NULL DEFAULT 1,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    UNIQUE (step, task_type, subject, key)
);
COMMENT ON TABLE problems IS 'what a step could not take and left out; a row goes when the step has taken it';
COMMENT ON COLUMN problems.task_type IS 'empty: not about one task type';
COMMENT ON COLUMN problems.subject IS 'what kind of thing was left out: line, sample, annotation, task, event, file';
COMMENT ON COLUMN problems.key IS 'which one: its id, external id or path';
COMMENT ON COLUMN problems.sync_version IS 'of the sample when it failed: it is tried again when that has changed';
COMMENT ON COLUMN problems.digest IS 'of what else it was made of when it failed; tried again when that has changed';
CREATE INDEX problems_of_sample ON problems (sample_id) WHERE sample_id IS NOT NULL;
