-- What an export reads.

-- An entry is a line of the index: it differs when anything differs that an export writes of a sample. With the
-- documents of these samples (NULL: of all) or, where :documents is false, without any.
-- name: entries
SELECT CAST(r.sample_id AS text) AS sample_id, CAST(jsonb_build_object(
           'sample_id', r.sample_id, 'split', r.split, 'arrival', r.arrival, 'digest', r.digest,
           'layout', CAST(%(layout)s AS text), 'gold', r.document -> 'gold', 'external_id', r.document -> 'external_id',
           'source', r.document -> 'source', 'group', r.document -> 'group', 'media_md5', r.document -> 'media' -> 'md5',
           'newest_revision', r.document -> 'newest_revision', 'dvc_commit_hash', r.document -> 'dvc_commit_hash',
           'answers', r.said) AS text) AS line,
       CASE WHEN %(documents)s THEN r.document END AS document, r.split, r.arrival, r.media_bytes, r.media_mtime_ns
  FROM reviewed_now r
 WHERE r.task_type = %(task_type)s AND (CAST(%(ids)s AS uuid[]) IS NULL OR r.sample_id = ANY (%(ids)s))
 ORDER BY r.arrival, r.sample_id;

-- Kept for the length of an export, which reads it twice: what there is, and then what is to be written.
-- name: gather
INSERT INTO reviewed_now SELECT :task_type, r.* FROM reviewed(:task_type) r WHERE r.is_assigned;

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

-- name: state
SELECT export_state();

-- name: states
SELECT task_type, layout, state, index_sha256 FROM export_states WHERE destination = :destination;

-- name: remember_state
INSERT INTO export_states (destination, task_type, layout, state, index_sha256)
VALUES (:destination, :task_type, :layout, :state, :index_sha256)
ON CONFLICT (destination, task_type) DO UPDATE
   SET layout = excluded.layout, state = excluded.state, index_sha256 = excluded.index_sha256;
