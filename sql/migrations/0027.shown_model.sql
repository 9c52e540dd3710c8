-- Which pre-annotations people are shown: what lsloop last wrote, so that another choice made by hand is left alone.
-- depends: 0019.problems
ALTER TABLE projects ADD written_model_version text;
COMMENT ON COLUMN projects.written_model_version IS
    'the model version whose pre-annotations lsloop last had shown; what differs was chosen by hand. NULL: not known';
