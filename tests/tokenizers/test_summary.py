"""The summary's figures, against a real run and by hand."""

import pytest
import torch

from tiny import tiny_tokenizer
from vistok.cli.info import open_without_weights
from vistok.config import shipped_names
from vistok.models.cost import measure_cost
from vistok.tokenizers.summary import summarize


def test_multiply_adds_of_one_convolution_are_counted_by_hand():
    with torch.device("meta"):
        conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    cost = measure_cost(conv, (2, 3, 16, 10))
    assert cost.multiply_adds == 2 * 16 * 10 * 8 * 3 * 9
    assert cost.peak_bytes == 4 * 2 * 16 * 10 * (3 + 8)


def test_memory_of_a_chain_counts_what_is_alive_at_once():
    with torch.device("meta"):
        chain = torch.nn.Sequential(*[torch.nn.Conv2d(4, 4, 1) for _ in range(10)])
    tensor = 4 * 4 * 8 * 8
    # the chain's input stays with its caller, beside the input and the output of one layer
    assert measure_cost(chain, (1, 4, 8, 8)).peak_bytes == 3 * tensor


def test_parts_and_rates_agree_with_the_tokenizer():
    tokenizer = tiny_tokenizer("video")
    summary = summarize(tokenizer, (5, 16, 24))
    assert summary.parameters["total"] == sum(p.numel() for p in tokenizer.parameters())
    assert summary.positions == summary.tokens == 2 * 2 * 3
    assert summary.encoder_radius is None, "this one has spatial attention"
    assert summarize(tiny_tokenizer("image"), (1, 16, 16)).encoder_radius == 40


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_config_can_be_described_without_weights(name):
    tokenizer, size = open_without_weights(name)
    assert all(parameter.is_meta for parameter in tokenizer.parameters())
    summary = summarize(tokenizer, size)
    assert summary.encode_multiply_adds > 0
    assert summary.decode_bytes > 0
