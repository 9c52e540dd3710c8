-- A Label Studio is known by what it is, a project by what is in it; what was last written there and last seen are two things.
-- depends: 0019.problems

CREATE TABLE servers (
    server text PRIMARY KEY,
    identity text
);
COMMENT ON TABLE servers IS 'Label Studios by the name that the ledger gives each one (projects.server): the URL under which it was first met';
COMMENT ON COLUMN servers.identity IS 'what it says it is, whatever its URL; NULL: not known yet, or it does not say. Two names of one are from before it was asked';
INSERT INTO servers (server) SELECT DISTINCT server FROM projects;

CREATE TABLE server_spellings (
    spelling text PRIMARY KEY,
    server text NOT NULL REFERENCES servers
);
COMMENT ON TABLE server_spellings IS 'which Label Studio was last met under which setting: for those who do not ask it';

ALTER TABLE projects ADD ls_created_at text, ADD written_label_config text, ADD written_overlap integer;
COMMENT ON COLUMN projects.ls_created_at IS 'when it was made, as Label Studio says it; with its number that is which project it is';
COMMENT ON COLUMN projects.label_config IS 'as it was last seen in Label Studio';
COMMENT ON COLUMN projects.written_label_config IS 'as lsloop last wrote it; what differs from it was changed by hand. NULL: not known';
COMMENT ON COLUMN projects.written_overlap IS 'the number of answers per task that lsloop last wrote';
UPDATE projects p SET written_overlap = (
    SELECT t.overlap FROM tasks t WHERE t.project_id = p.project_id AND NOT t.is_gold_probe AND t.adjudicates IS NULL
     ORDER BY t.claimed_at DESC LIMIT 1);
