-- A run finds out at once that nothing changed, instead of comparing every open task with its sample.
-- depends: 0019.problems

CREATE TABLE sample_changes (xid xid8 PRIMARY KEY);
COMMENT ON TABLE sample_changes IS 'transactions that changed samples or put tasks to work, as far as a project has not looked since';
ALTER TABLE projects ADD refreshed_as_of pg_snapshot, ADD refreshed_at timestamptz;
COMMENT ON COLUMN projects.refreshed_as_of IS 'when all tasks were last looked at and none showed what is old: which transactions were over';
COMMENT ON COLUMN projects.refreshed_at IS 'when that was; NULL: never';
