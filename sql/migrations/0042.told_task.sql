-- Tasks as Label Studio has them travel as an array: a temporary table would have to be made and analyzed for
-- each event.
-- depends: 0041.waiting

CREATE TYPE told_task AS (ls_task_id bigint, task_key uuid, ls_updated_at timestamptz, is_whole boolean);
COMMENT ON TYPE told_task IS
    'a task as Label Studio has it; is_whole: all of its annotations were told with it';
