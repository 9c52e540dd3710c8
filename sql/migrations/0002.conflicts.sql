-- People decide: conflicts that can be undone, who did what, tasks refreshed in place, samples that go round again.
-- depends: 0001.ledger

CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    action text NOT NULL,
    about text NOT NULL,
    reason text,
    detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit IS 'who did what, and why; append only';
COMMENT ON COLUMN audit.about IS 'the kind of thing and its number: conflict 12, lock 5';
COMMENT ON COLUMN audit.detail IS 'what is needed to undo it';
CREATE INDEX audit_about ON audit (about, audit_id);

ALTER TABLE samples ADD only_task_type text;
COMMENT ON COLUMN samples.only_task_type IS 'of a sample that goes round again: the one task type it is for; NULL: every one';
CREATE INDEX samples_of_parent ON samples (parent_sample_id) WHERE parent_sample_id IS NOT NULL;

ALTER TABLE tasks ADD settled_version integer;
COMMENT ON COLUMN tasks.settled_version IS 'somebody decided that the answer stands against all that upstream changed up to this sync_version';
ALTER TABLE tasks DROP CONSTRAINT tasks_state_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_state_check CHECK
    (state IN ('claimed', 'open', 'annotated', 'conflicted', 'accepted', 'resolved', 'cancelled', 'parked'));
CREATE INDEX tasks_unanswered ON tasks (opened_at) WHERE state = 'open';
CREATE INDEX tasks_skipped ON tasks (project_id) WHERE state = 'open' AND skips > 0;
CREATE INDEX tasks_disputed ON tasks (project_id) WHERE state = 'conflicted';

CREATE TABLE earlier_bases (
    task_key uuid NOT NULL REFERENCES tasks,
    until timestamptz NOT NULL,
    base jsonb NOT NULL,
    sync_version integer NOT NULL,
    PRIMARY KEY (task_key, until)
);
COMMENT ON TABLE earlier_bases IS 'what a task showed before it was refreshed in place';
COMMENT ON COLUMN earlier_bases.until IS 'in Label Studio''s time: what was begun before may have been begun on this base';

ALTER TABLE annotations ADD superseded_at timestamptz;
COMMENT ON COLUMN annotations.superseded_at IS 'a conflict was decided against this answer; it stays in the history';

ALTER TABLE conflicts DROP CONSTRAINT conflicts_status_check;
ALTER TABLE conflicts ADD CONSTRAINT conflicts_status_check CHECK (status IN ('open', 'resolved', 'withdrawn'));
ALTER TABLE conflicts ADD moved jsonb NOT NULL DEFAULT '{}';
ALTER TABLE conflicts ADD result_hash text;
ALTER TABLE conflicts ADD decided_because text;
ALTER TABLE conflicts ADD automatic boolean NOT NULL DEFAULT true;
ALTER TABLE conflicts ADD tried text;
COMMENT ON COLUMN conflicts.moved IS 'each field in dispute, and who moved it: upstream, or people in another task';
COMMENT ON COLUMN conflicts.status IS 'withdrawn: the answer was deleted or taken back before anybody decided';
COMMENT ON COLUMN conflicts.automatic IS 'the configured strategy may decide it; false once somebody has undone a decision';
COMMENT ON COLUMN conflicts.tried IS 'the digest of the sides for which an automatic merge was tried and failed';
CREATE INDEX conflicts_of_task ON conflicts (task_key, conflict_id);
CREATE INDEX conflicts_open ON conflicts (conflict_id) WHERE status = 'open';
CREATE INDEX conflicts_of_sample ON conflicts (sample_id);

CREATE INDEX locks_live ON locks (locked_at, lock_id) WHERE released_at IS NULL;
CREATE INDEX locks_ending ON locks (expires_at) WHERE released_at IS NULL AND expires_at IS NOT NULL;
