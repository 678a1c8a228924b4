"""Metrics have one list of names, which is read without loading them."""

from vistok.eval.metrics.catalog import SAMPLE_METRICS, SET_METRICS
from vistok.eval.metrics.names import CODEBOOK_METRICS, METRICS, QUICK_METRICS, default_metrics


def test_every_name_has_a_metric_and_every_metric_a_name():
    assert (*SAMPLE_METRICS, *SET_METRICS, *CODEBOOK_METRICS) == METRICS
    assert set(QUICK_METRICS) < set(METRICS)


def test_the_distance_of_videos_is_for_clips_and_that_of_images_for_images():
    assert set(METRICS) - set(default_metrics(1)) == {"kid", "inception_score", "rfvd"}
    assert set(METRICS) - set(default_metrics(17)) == {"kid", "inception_score", "rfid"}
