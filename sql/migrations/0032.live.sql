-- A task that is at work says so itself: which states these are is written here and nowhere else.
-- depends: 0031.media

ALTER TABLE tasks ADD COLUMN is_live boolean NOT NULL
    GENERATED ALWAYS AS (state IN ('claimed', 'open', 'annotated', 'conflicted')) STORED;
COMMENT ON COLUMN tasks.is_live IS 'whether somebody may be at work on it: there is one such task of a sample and a task type';
DROP INDEX one_live_task, one_live_adjudication;
CREATE UNIQUE INDEX one_live_task ON tasks (sample_id, task_type) WHERE is_live AND NOT is_gold_probe AND adjudicates IS NULL;
CREATE UNIQUE INDEX one_live_adjudication ON tasks (adjudicates) WHERE is_live AND adjudicates IS NOT NULL;
