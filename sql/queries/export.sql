-- What an export reads.

-- An entry is a line of the index: it differs when anything differs that an export writes of a sample. With the
-- documents of these samples (NULL: of all) or, where :documents is false, without any.
-- name: entries
WITH r AS MATERIALIZED (SELECT * FROM reviewed(%(task_type)s))
SELECT CAST(r.sample_id AS text) AS sample_id, CAST(jsonb_build_object(
           'sample_id', r.sample_id, 'split', r.split, 'arrival', r.arrival, 'digest', r.digest,
           'layout', CAST(%(layout)s AS text), 'gold', r.document -> 'gold', 'external_id', r.document -> 'external_id',
           'source', r.document -> 'source', 'group', r.document -> 'group', 'media_md5', r.document -> 'media' -> 'md5',
           'newest_revision', r.document -> 'newest_revision', 'dvc_commit_hash', r.document -> 'dvc_commit_hash',
           'answers', r.said) AS text) AS line,
       CASE WHEN %(documents)s THEN r.document END AS document, r.split, r.arrival, r.media_bytes, r.media_mtime_ns
  FROM r
 WHERE r.is_assigned AND (CAST(%(ids)s AS uuid[]) IS NULL OR r.sample_id = ANY (%(ids)s))
 ORDER BY r.arrival, r.sample_id;

-- name: watermark
SELECT samples, digest FROM watermark(:task_type);

-- name: record
INSERT INTO exports (destination, layout, manifest, manifest_sha256)
VALUES (:destination, :layout, CAST(:manifest AS jsonb), :sha256) RETURNING export_id;

-- name: last
SELECT manifest_sha256 FROM exports WHERE destination = :destination ORDER BY export_id DESC LIMIT 1;

-- name: remember
INSERT INTO exported_samples AS e (sample_id, task_type, destination, export_id, revisions, digest)
SELECT i.sample_id, i.task_type, :destination, :export_id, i.revisions, i.digest FROM exported_now i
ON CONFLICT (sample_id, task_type, destination) DO UPDATE
   SET export_id = excluded.export_id, revisions = excluded.revisions, digest = excluded.digest, removed_by = NULL
 WHERE (e.digest, e.removed_by) IS DISTINCT FROM (excluded.digest, NULL);

-- name: forget
UPDATE exported_samples e SET removed_by = :export_id
 WHERE e.destination = :destination AND e.removed_by IS NULL AND e.task_type = ANY (:task_types)
   AND NOT EXISTS (SELECT FROM exported_now i WHERE i.sample_id = e.sample_id AND i.task_type = e.task_type);
