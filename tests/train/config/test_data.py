"""The data section: sources with weights, and settings that contradict each other."""

import pytest

from vistok.train.config.data import Data


def data_config(**options):
    return Data.model_validate({"source": "samples:train", **options})


def test_sources_may_have_weights():
    parts = [{"source": "a", "weight": 2}, {"source": "b", "weight": 1}]
    assert data_config(source=parts).sources == [("a", 2.0), ("b", 1.0)]
    assert data_config().sources == [("samples:train", None)]
    rules = data_config(size=32, short_side=[40, 60], buckets=[[32, 48]])
    assert (rules.short_side, rules.shapes) == ((40, 60), ((32, 48),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_ratio": 0.5}, r"image_ratio=0\.5 needs frames > 1, got frames=1"),
        ({"fps": 5}, "fps=5 needs frames > 1"),
        ({"short_side": [60, 40], "size": 32}, r"short_side must rise, got \[60, 40\]"),
        ({"short_side": 100}, "short_side must be at least the crop's, 256, got 100"),
        ({"source": ""}, "source is empty; give a folder"),
        ({"source": [{"source": " ", "weight": 1}]}, "source is empty"),
        ({"source": []}, "at least 1 item"),
        ({"max_bad": -1}, "greater than or equal to 0"),
    ],
)
def test_data_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data_config(**options)
