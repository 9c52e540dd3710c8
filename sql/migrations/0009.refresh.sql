-- Which of what a task showed an annotator may have begun from: the times of two refreshes overlap.
-- depends: 0004.export

ALTER TABLE earlier_bases ADD ended_at timestamptz;
COMMENT ON COLUMN earlier_bases.ended_at IS 'in Label Studio''s time: from here on pages were given what came after it; until is later by what a page may take to load';
