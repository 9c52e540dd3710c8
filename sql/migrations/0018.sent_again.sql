-- Whether a second request carried a task, as a column: an index with `WHERE sends > 1` was touched by each first request, too.
-- depends: 0017.room
DROP INDEX tasks_sent_again;
ALTER TABLE tasks ADD sent_again boolean GENERATED ALWAYS AS (sends > 1) STORED;
CREATE INDEX tasks_sent_again ON tasks (project_id) WHERE sent_again;
