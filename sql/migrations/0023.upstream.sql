-- Upstream by SQL, what an answer was judged from, one spelling of paths, and the columns that a runbook's queries ask for.
-- depends: 0019.problems

ALTER TABLE locks ADD sync_version integer;
COMMENT ON COLUMN locks.sync_version IS 'of the sample when the lock was taken: what its owner wrote since was counted already';

ALTER TABLE tasks ADD judged_from jsonb;
COMMENT ON COLUMN tasks.judged_from IS 'what the accepted answer was begun on, where that was not what the task showed last; NULL: base';

ALTER TABLE samples ADD audio_file_md5 text GENERATED ALWAYS AS (media_md5) STORED;
COMMENT ON COLUMN samples.audio_file_md5 IS 'media_md5 under the name that runbooks know';

ALTER TABLE annotations ADD conflict_detected boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN annotations.conflict_detected IS 'a conflict about this answer is open';
UPDATE annotations a SET conflict_detected = true
 WHERE EXISTS (SELECT FROM conflicts c WHERE c.annotation_id = a.annotation_id AND c.status = 'open');

-- `./a.wav`, `sub//a.wav` and `sub/./a.wav` are one file each: the media server knows it by its plain name alone. It is the
-- same file with the same content, so nothing changed upstream.
UPDATE samples SET media_path = array_to_string(ARRAY(
           SELECT part FROM unnest(string_to_array(media_path, '/')) WITH ORDINALITY p(part, place)
            WHERE part NOT IN ('', '.') ORDER BY place), '/')
 WHERE media_path ~ '(^|/)\.?(/|$)' AND left(media_path, 1) <> '/';
