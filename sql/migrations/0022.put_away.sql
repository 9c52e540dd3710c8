-- Needless tasks stay in Label Studio, out of people's way: an answer that is on its way to one is never lost.
-- depends: 0019.problems

CREATE TABLE put_away (
    project_id integer NOT NULL REFERENCES projects,
    ls_task_id bigint NOT NULL,
    task_key uuid NOT NULL REFERENCES tasks,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, ls_task_id)
);
COMMENT ON TABLE put_away IS 'tasks in Label Studio that people are not given: second copies, and what was decided meanwhile';
CREATE INDEX put_away_of_task ON put_away (task_key);
CREATE INDEX tasks_ended ON tasks (project_id) WHERE state = 'cancelled' AND gone_at IS NULL;
