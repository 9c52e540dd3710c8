-- What an export reads.

-- Everything, while it is being found out.
-- name: straight
SELECT CAST(r.sample_id AS text), r.line, r.document, r.split, r.arrival, r.media_bytes, r.media_mtime_ns
  FROM reviewed(%(task_type)s, %(layout)s) r WHERE r.is_assigned
 ORDER BY r.arrival, r.sample_id;

-- Kept for the length of an export, which reads it twice: what there is, and then what is to be written.
-- name: gather
INSERT INTO reviewed_now
SELECT :task_type, r.sample_id, r.line, r.document, r.split, r.arrival, r.media_bytes, r.media_mtime_ns
  FROM reviewed(:task_type, :layout) r WHERE r.is_assigned;

-- name: lines
SELECT CAST(sample_id AS text), line FROM reviewed_now WHERE task_type = %(task_type)s
 ORDER BY arrival, sample_id;

-- name: entries
SELECT CAST(sample_id AS text), line, document, split, arrival, media_bytes, media_mtime_ns
  FROM reviewed_now WHERE task_type = %(task_type)s AND sample_id = ANY (CAST(%(ids)s AS uuid[]))
 ORDER BY arrival, sample_id;

-- About how many samples an export of the task type will hold, without looking at each.
-- name: about
SELECT count(*) FROM tasks WHERE task_type = :task_type AND state IN ('accepted', 'resolved');

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
   SET export_id = excluded.export_id, revisions = excluded.revisions, digest = excluded.digest,
       removed_by = NULL
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
