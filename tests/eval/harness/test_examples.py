"""The examples of a row: each sample is reconstructed once, and only what is shown is kept."""

import torch

from vistok import evaluate
from vistok.data.evaluation_set import EvaluationSet
from vistok.data.sources.source import list_source
from vistok.eval.harness.examples import select_examples, select_positions, strip_frames
from vistok.eval.reconstructors.identity import Identity


class Counting(Identity):
    """The images themselves, and which of them were requested."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def reconstruct(self, clips, keys):
        self.keys += keys
        return super().reconstruct(clips, keys)


def test_a_sample_with_several_roles_is_reconstructed_once():
    dataset = EvaluationSet(list_source("samples:heldout").files, 32)
    samples = {i: {"key": file.key, "psnr": 20.0 + i} for i, file in enumerate(dataset.files)}
    reconstructor = Counting()
    selected = select_examples(reconstructor, dataset, samples)
    roles = select_positions(samples)
    assert len(roles) > len(samples)
    assert [(example.key, example.role) for example in selected] == [
        (samples[position]["key"], role) for position, role in roles
    ]
    assert sorted(reconstructor.keys) == sorted(sample["key"] for sample in samples.values())
    assert all(example.original.shape == (3, 1, 32, 32) for example in selected)


def test_of_long_clips_only_the_frames_of_the_strip_are_kept():
    (row,) = evaluate("samples:videos", "bicubic:f=4", size=32, frames=17, limit=2)
    for example in row.examples:
        for clip in (example.original, example.reconstruction):
            assert clip.shape == (3, 8, 32, 32)
            assert clip.untyped_storage().nbytes() == clip.numel()  # the rest is not held either


def test_the_strip_spans_the_clip_and_holds_short_ones_whole():
    clip = torch.arange(30, dtype=torch.uint8).view(1, 30, 1, 1).expand(3, -1, 2, 2)
    assert strip_frames(clip)[0, :, 0, 0].tolist() == [0, 4, 8, 12, 17, 21, 25, 29]
    for frames in (1, 5, 8):
        assert torch.equal(strip_frames(clip[:, :frames]), clip[:, :frames])
