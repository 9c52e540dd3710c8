-- What a media file is, by its content; how large or long it is; and why nobody can see or hear it, where that is so.
-- depends: 0030.units

ALTER TABLE samples ADD COLUMN media_type text, ADD COLUMN frame_rate double precision, ADD COLUMN frames integer,
                    ADD COLUMN pages integer, ADD COLUMN media_problem text CHECK (media_problem <> '');
COMMENT ON COLUMN samples.media_type IS 'by the content of the file, else by its suffix; NULL: no ingest has looked at it yet';
COMMENT ON COLUMN samples.frame_rate IS 'of a film, a second';
COMMENT ON COLUMN samples.pages IS 'of a PDF';
COMMENT ON COLUMN samples.media_problem IS 'why the file cannot be shown; the sample is not sent to who would need it';
CREATE INDEX samples_media_problem ON samples (sample_id) WHERE media_problem IS NOT NULL;
UPDATE samples s SET media_problem = p.reason FROM problems p
 WHERE p.step = 'ingest' AND p.subject = 'sample' AND p.sample_id = s.sample_id AND s.media_md5 IS NULL AND p.reason <> '';
DELETE FROM problems WHERE step = 'ingest' AND subject = 'sample';
