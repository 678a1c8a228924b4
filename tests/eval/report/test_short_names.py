"""A table names a tokenizer by the shortest part of its path that tells it apart."""

import pytest

from made_rows import discrete_row, preset_row
from vistok.eval.report.short_names import short_names, with_short_names


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["runs/a/tokenizer", "runs/b/tokenizer"], ["a", "b"]),
        (["/somewhere/long/runs/mine/tokenizer"], ["mine"]),
        (["runs/a/tokenizer/", "./b"], ["a", "b"]),
        (["runs/a/tokenizer", "continuous:runs/a/tokenizer"], ["a", "continuous:a"]),
        (["out/a/best", "out/b/best", "out/b/last"], ["a", "b/best", "last"]),
        (["x/one/y", "z/one/y", "x/two/y"], ["x/one", "z", "two"]),
        (["runs/a/tokenizer", "runs/a/tokenizer (2)"], ["a", "a (2)"]),
        (["a", "a/b"], ["a", "b"]),
        (["a/b", "a"], ["b", "a"]),
        (["a/tokenizer", "a"], ["a/tokenizer", "a"]),
        (["tokenizer", "b/tokenizer"], ["tokenizer", "b"]),
        (["runs/jpeg/tokenizer", "jpeg:q=50"], ["runs/jpeg", "jpeg:q=50"]),
        (["stabilityai/sd-vae", "diffusers:AutoencoderKL:stabilityai/sd-vae-ft-mse"],
         ["sd-vae", "diffusers:AutoencoderKL:sd-vae-ft-mse"]),
        (["folder:out/theirs", "identity", "bicubic:f=8", "h264:crf=28"],
         ["folder:theirs", "identity", "bicubic:f=8", "h264:crf=28"]),
        (["jpeg:q=10", "webp:q=10", "quickstart"], ["jpeg:q=10", "webp:q=10", "quickstart"]),
        (["../a/tokenizer", "../b/tokenizer"], ["a", "b"]),
        (["/", "a//b"], ["/", "b"]),
        (["runs/a\nb/tokenizer"], ["a\nb"]),
    ],
)  # fmt: skip
def test_short_names(names, short):
    found = short_names(names)
    assert list(found) == names
    assert list(found.values()) == short


def test_short_names_are_unique():
    names = ["r/a/t", "r/b/t", "r/a", "r/b", "a", "t", "a/t", "continuous:a/t", "x:a/t", "b/a/t"]
    short = short_names(names)
    assert len(set(short.values())) == len(names)


def test_canonical_rows_are_renamed_with_their_rows():
    renamed, other = with_short_names([preset_row(), discrete_row()])
    assert renamed.canonical is not None
    assert renamed.tokenizer == renamed.canonical.tokenizer == "model"
    assert other.tokenizer == "fsq"
