-- Cycles of `lsloop sync`: when, where, and what came of each step.
-- depends: 0004.export

CREATE TABLE sync_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_by text NOT NULL CHECK (started_by <> ''),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz CHECK (ended_at >= started_at),
    outcome text CHECK (outcome IN ('succeeded', 'failed', 'stopped', 'cut off')),
    steps jsonb NOT NULL DEFAULT '[]',
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
COMMENT ON TABLE sync_runs IS 'every cycle that began; those that were turned away or not due yet did not begin';
COMMENT ON COLUMN sync_runs.started_by IS 'machine and process';
COMMENT ON COLUMN sync_runs.ended_at IS 'of a cycle that was cut off: when the next one found that out';
COMMENT ON COLUMN sync_runs.outcome IS 'stopped: it was asked to, and left out the steps that are not there; cut off: killed, or lost the ledger';
COMMENT ON COLUMN sync_runs.steps IS 'each with its name, task type, state (done, skipped, failed), reason, counts, problems and seconds';
CREATE UNIQUE INDEX one_sync_run ON sync_runs ((true)) WHERE ended_at IS NULL;
CREATE INDEX sync_runs_succeeded ON sync_runs (started_at) WHERE outcome = 'succeeded';
