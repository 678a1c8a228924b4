"""Words of users: each kind opens, a sweep opens several, mistakes get an answer."""

import pytest

from vistok.eval.reconstructors.catalog import open_reconstructors
from vistok.eval.reconstructors.identity import Identity
from vistok.eval.reconstructors.image_codec import ImageCodec
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from vistok.eval.reconstructors.video_codec import VideoCodec


def test_a_sweep_is_one_reconstructor_per_number_in_the_order_given():
    reconstructors = open_reconstructors("jpeg:q=30,10,90")
    assert [reconstructor.name for reconstructor in reconstructors] == [
        "jpeg:q=30",
        "jpeg:q=10",
        "jpeg:q=90",
    ]
    assert all(isinstance(reconstructor, ImageCodec) for reconstructor in reconstructors)
    assert [s.name for s in open_reconstructors("av1:crf=20,60")] == ["av1:crf=20", "av1:crf=60"]
    assert [s.name for s in open_reconstructors("bicubic:f=2,4")] == ["bicubic:f=2", "bicubic:f=4"]


def test_every_kind_opens(saved_tokenizer, tmp_path):
    names = ("identity", "hevc:crf=28", str(saved_tokenizer))
    opened = [one for name in names for one in open_reconstructors(name)]
    assert [type(one) for one in opened] == [Identity, VideoCodec, TokenizerReconstructor]
    assert opened[0].name == "identity"


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("bicubic", ValueError, "written bicubic:f=8"),
        ("bicubic:f=0", ValueError, "f must be >= 1"),
        ("jpeg:50", ValueError, "written jpeg:q=50"),
        ("jpeg:crf=50", ValueError, "written jpeg:q=50"),
        ("h264:crf=2.5", ValueError, "several whole numbers"),
        ("jpeg:q=", ValueError, "written jpeg:q=50"),
        ("jpeg:q=10,10", ValueError, "names q=10 twice"),
        ("jpg:q=50", ValueError, "did you mean jpeg"),
        ("folder:./nothing", FileNotFoundError, "there is no such folder"),
        ("./nothing", FileNotFoundError, "no tokenizer at ./nothing"),
    ],
)
def test_mistakes_are_answered_with_what_is_meant(spec, error, message):
    with pytest.raises(error, match=message):
        open_reconstructors(spec)
