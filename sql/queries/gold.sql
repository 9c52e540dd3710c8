-- Gold: what there is, how much of it annotators meet, and how they change.

-- name: standards
SELECT external_id, source, reference, CAST(gold_score AS double precision) AS gold_score, set_by, set_at,
       changed_since_set, probes, answers, mean
  FROM v_gold_standard_samples ORDER BY mean NULLS LAST, external_id, source;

-- name: probes
SELECT p.task_type, count(t.task_key) FILTER (WHERE t.is_gold_probe) AS probes,
       count(t.task_key) FILTER (WHERE t.is_gold_probe AND t.state = 'probed') AS answered,
       count(t.task_key)
           FILTER (WHERE t.is_gold_probe AND t.state IN ('claimed', 'open', 'annotated')) AS at_work,
       count(t.task_key) AS tasks,
       avg(t.is_gold_probe::integer::double precision) FILTER (WHERE t.task_key IS NOT NULL) AS share
  FROM projects p
  LEFT JOIN tasks t ON t.project_id = p.project_id AND t.state <> 'cancelled' AND t.adjudicates IS NULL
 GROUP BY 1 ORDER BY 1;

-- name: drift
SELECT annotator, task_type, count(*) AS n, avg(score) FILTER (WHERE place > :window) AS before,
       avg(score) FILTER (WHERE place <= :window) AS recent,
       avg(score) FILTER (WHERE place <= :window) - avg(score) FILTER (WHERE place > :window) AS drift,
       -- Welch: more than twice the standard error of the difference of two means
       count(*) >= 2 * :window
       AND abs(avg(score) FILTER (WHERE place <= :window) - avg(score) FILTER (WHERE place > :window))
           > 1.959964 * sqrt(var_samp(score) FILTER (WHERE place <= :window) / :window
                             + var_samp(score) FILTER (WHERE place > :window)
                               / nullif(count(*) - :window, 0)) AS clear
  FROM (SELECT g.*, row_number() OVER (PARTITION BY annotator, task_type
                                       ORDER BY submitted_at DESC, annotation_id DESC) AS place
          FROM current_gold_scores(CAST(:task_type AS text)) g) placed
 GROUP BY 1, 2 ORDER BY 2, 1;
