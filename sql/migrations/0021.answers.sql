-- Answers are read whatever is in them, in the order of reading and of nobody's clock.
-- depends: 0019.problems

CREATE SEQUENCE reads;
COMMENT ON SEQUENCE reads IS 'the order of reading: a number is drawn before a request is sent, and one when its answer is written down';

ALTER TABLE tasks ADD read_at bigint, ADD ls_overlap integer;
COMMENT ON COLUMN tasks.read_at IS 'of the sequence reads, when the ledger was last brought up to it: what was asked for before is read again';
COMMENT ON COLUMN tasks.ls_overlap IS 'how many annotators Label Studio was last told that it needs; NULL: as many as overlap';

ALTER TABLE projects ADD compared_to bigint NOT NULL DEFAULT 0, ADD cursor_moved_at timestamptz;
COMMENT ON COLUMN projects.cursor IS 'the latest change there was in Label Studio, by its clock, when the last pull began';
COMMENT ON COLUMN projects.cursor_moved_at IS 'when a pull last found another latest change, by the clock of the ledger';
COMMENT ON COLUMN projects.compared_to IS 'tasks up to this number of Label Studio were compared with it last, whatever the clocks say';

ALTER TABLE annotations ADD edited_by text, ADD says_nothing boolean NOT NULL DEFAULT false, ADD raw text;
COMMENT ON COLUMN annotations.edited_by IS 'who changed it last, where that was not its annotator: then it is this one''s answer';
COMMENT ON COLUMN annotations.says_nothing IS 'empty, invisible or impossible: it is no answer, and the sample is offered to people again';
COMMENT ON COLUMN annotations.raw IS 'as received, where PostgreSQL cannot keep it as JSON; result is empty then';

ALTER TABLE annotation_history ADD edited_by text, ADD told boolean NOT NULL DEFAULT false, ADD raw text;
COMMENT ON COLUMN annotation_history.told IS 'an event told of this version, and it was gone when Label Studio was asked';
-- Which of the answers that came before say nothing, and who edited them, the next pull finds: it reads all.
UPDATE projects SET cursor = NULL;

CREATE INDEX annotations_saying_nothing ON annotations (task_key) WHERE says_nothing AND deleted_at IS NULL;
CREATE INDEX tasks_offered_again ON tasks (project_id) WHERE ls_overlap IS NOT NULL;
