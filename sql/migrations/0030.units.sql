-- Errors are counted in the unit of the job: words, characters, regions, fields, milliseconds. What was scored before counted
-- words, or nothing: the latter is counted when scores are looked at next.
-- depends: 0026.links

ALTER TABLE gold_scores RENAME COLUMN words TO total;
ALTER TABLE gold_scores RENAME CONSTRAINT gold_scores_words_check TO gold_scores_total_check;
ALTER TABLE gold_scores ADD COLUMN unit text CHECK (unit <> '');
UPDATE gold_scores SET unit = 'words' WHERE total IS NOT NULL;
ALTER TABLE gold_scores ADD COLUMN words integer GENERATED ALWAYS AS (CASE WHEN unit = 'words' THEN total END) STORED,
                        ADD CHECK ((unit IS NULL) = (total IS NULL) AND (unit IS NULL) = (errors IS NULL));
COMMENT ON COLUMN gold_scores.errors IS 'wrong, missing and extra units of the answer; NULL: not counted yet';
COMMENT ON COLUMN gold_scores.total IS 'units of the reference';
COMMENT ON COLUMN gold_scores.unit IS 'what is counted: words, characters, regions, fields, milliseconds, …';
COMMENT ON COLUMN gold_scores.words IS 'of the reference, where words are counted';
