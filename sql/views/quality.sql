-- How good gold and annotators are. Means are of scores in order: a sum of floats depends on it, and a report must not.

DROP VIEW IF EXISTS v_annotator_accuracy, v_gold_standard_samples;

-- The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5; within 3 % from two degrees of freedom on).
CREATE OR REPLACE FUNCTION t_quantile(p_freedom double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT 1.959964 + 2.372258 / p_freedom + 2.822512 / p_freedom ^ 2 + 2.555860 / p_freedom ^ 3 + 1.589534 / p_freedom ^ 4
$$;

-- How many independent yes-or-no observations of a rate tell as much as these probes do (Korn and Graubard, "Confidence
-- intervals for proportions with small expected number of positive counts estimated from survey data", Survey Methodology
-- 24, 1998): words of one recording go wrong together, so they count for less than their number. p_variance is that of
-- the rate between probes; where it is none, p_floor; never more than p_most.
CREATE OR REPLACE FUNCTION effective_number(
    p_rate double precision, p_variance double precision, p_probes bigint, p_floor double precision, p_most double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_probes < 2 THEN 1 ELSE
        CASE WHEN p_variance > 0 AND p_rate > 0 AND p_rate < 1
             THEN least(p_most, greatest(p_rate * (1 - p_rate) / p_variance, 1)) * (1.959964 / t_quantile(p_probes - 1)) ^ 2
             ELSE p_floor END END
$$;

-- The 95 % interval of a rate seen in p_number observations: Wilson's score interval ("Probable inference, the law of
-- succession, and statistical inference", Journal of the American Statistical Association 22, 1927).
CREATE OR REPLACE FUNCTION rate_interval(p_rate double precision, p_number double precision) RETURNS double precision[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[greatest(0, middle - half), least(1, middle + half)]
      FROM (SELECT (rate + 1.920730 / n) / (1 + 3.841459 / n) AS middle,
                   1.959964 * sqrt(rate * (1 - rate) / n + 0.960365 / n ^ 2) / (1 + 3.841459 / n) AS half
              FROM (SELECT least(greatest(p_rate, 0), 1) AS rate, nullif(p_number, 0) AS n) given) interval
$$;

-- The variance between probes of the ratio of two sums, errors to words (Cochran, "Sampling Techniques", chapter 6).
CREATE OR REPLACE FUNCTION ratio_variance(
    p_probes bigint, p_errors double precision, p_words double precision, p_errors2 double precision,
    p_both double precision, p_words2 double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_probes > 1 AND p_words > 0 THEN p_probes / (p_probes - 1.0)
        * (p_errors2 - 2 * rate * p_both + rate * rate * p_words2) / (p_words * p_words) END
      FROM (SELECT p_errors / nullif(p_words, 0) AS rate) given
$$;

-- A row per annotator and task type: n probes, the mean agreement with their references, and between which bounds it
-- lies with 95 % confidence; where the task type counts words also the word error rate over all of them. Expected is how
-- sure whoever set the references was of them, on average; completed, of the probes that the annotator answered or skipped,
-- the percentage that they answered. Neither says how right they were: that is the mean.
CREATE VIEW v_annotator_accuracy AS
SELECT annotator, task_type, n, mean, low, high, errors, words, word_error_rate,
       CASE WHEN words > 0 THEN word_bounds[1] END AS word_error_low,
       CASE WHEN word_error_rate <= 1 THEN word_bounds[2]
            -- Words that nobody said are errors, too, so there may be more errors than words: that is no rate of yes and no.
            WHEN words > 0 THEN word_error_rate + CASE WHEN n > 1 THEN t_quantile(n - 1) * sqrt(greatest(variance, 0)) ELSE 0 END
       END AS word_error_high, last_probe_at,
       n AS total_gold_annotations, expected AS avg_expected_score,
       (SELECT round(100.0 * count(*) FILTER (WHERE NOT a.was_cancelled) / nullif(count(*), 0), 1)
          FROM annotations a JOIN tasks t USING (task_key)
         WHERE t.is_gold_probe AND a.annotator = bounded.annotator AND t.task_type = bounded.task_type
           AND a.deleted_at IS NULL) AS completion_rate
  FROM (
    SELECT sums.*, bounds[1] AS low, bounds[2] AS high, variance,
           rate_interval(word_error_rate, effective_number(word_error_rate, variance, n, words, words)) AS word_bounds
      FROM (
        SELECT g.annotator, g.task_type, count(*) AS n, avg(g.score ORDER BY g.score) AS mean,
               rate_interval(avg(g.score ORDER BY g.score), effective_number(
                   avg(g.score ORDER BY g.score), var_samp(g.score ORDER BY g.score) / count(*), count(*), count(*), coalesce(sum(g.words)::double precision, 'infinity'))) AS bounds,
               sum(g.errors) AS errors, sum(g.words) AS words,
               sum(g.errors)::double precision / nullif(sum(g.words), 0) AS word_error_rate,
               sum(g.errors::double precision ^ 2) AS errors2, sum(g.errors::double precision * g.words) AS both_,
               sum(g.words::double precision ^ 2) AS words2, max(g.submitted_at) AS last_probe_at,
               avg(s.gold_score) AS expected
          FROM current_gold_scores() g JOIN gold_standards s USING (gold_id) GROUP BY 1, 2) sums,
           ratio_variance(n, errors, words, errors2, both_, words2) variance) bounded;

-- Every gold sample, with what annotators made of it.
CREATE VIEW v_gold_standard_samples AS
SELECT s.sample_id, s.source, s.external_id, g.reference, g.gold_score, g.set_by, g.set_at,
       EXISTS (SELECT FROM jsonb_each_text(s.field_versions) v
                WHERE v.value::integer > g.sync_version AND NOT g.reference ? v.key) AS changed_since_set,
       coalesce(t.probes, 0) AS probes, coalesce(x.answers, 0) AS answers, x.mean
  FROM samples s JOIN gold_standards g ON g.sample_id = s.sample_id AND g.unset_at IS NULL
  LEFT JOIN (SELECT sample_id, count(*) AS probes FROM tasks WHERE is_gold_probe AND state <> 'cancelled' GROUP BY 1) t
         ON t.sample_id = s.sample_id
  LEFT JOIN (SELECT gold_id, count(*) AS answers, avg(score ORDER BY score) AS mean FROM current_gold_scores() GROUP BY 1) x USING (gold_id)
 WHERE s.is_gold_standard AND s.deleted_at IS NULL;
