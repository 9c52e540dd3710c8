-- Held answers are looked at one by one; and who marked an answer as ground truth counts.
-- depends: 0021.answers

ALTER TABLE annotations
    ADD review text CHECK (review IN ('released', 'rejected')), ADD reviewed_hash text, ADD reviewed_by text,
    ADD own_mark boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN annotations.review IS 'what somebody decided about an answer that was held; it holds for the version with reviewed_hash';
COMMENT ON COLUMN annotations.own_mark IS 'marked as ground truth by nobody but whoever said it: that ends no quarantine';

ALTER TABLE gold_standards ADD authors_of jsonb;
COMMENT ON COLUMN gold_standards.authors_of IS 'field: the annotators whose own answers its reference is; NULL: authors holds for every field';
CREATE INDEX annotations_rejected ON annotations (task_key) WHERE review = 'rejected';
