"""Deterministic runs: torch's settings for their length, and no operation that torch refuses."""

import os

import pytest
import torch
from torch.backends import cudnn

import vistok.train.loop as loop
import vistok.train.steps as steps
from quantizer_table import QUANTIZERS
from runs import assert_same_state, tiny_run
from tiny import tiny_tokenizer
from vistok.component import build
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS
from vistok.train.run.determinism import WORKSPACE, deterministic_algorithms


def settings() -> tuple[bool, bool, bool, str | None]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, cudnn.deterministic, cudnn.benchmark, os.environ.get(WORKSPACE)


@pytest.fixture
def other_settings(monkeypatch):
    """Settings of a process that wants the opposite."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(cudnn, "benchmark", True)
    assert settings() == (False, False, True, None)


def test_the_settings_are_restored_also_after_an_error(other_settings):
    with deterministic_algorithms():
        assert settings() == (True, True, False, ":4096:8")
    with pytest.raises(KeyError), deterministic_algorithms():
        raise KeyError
    assert settings() == (False, False, True, None)


def test_a_workspace_of_the_user_is_kept(other_settings, monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with deterministic_algorithms():
        assert settings() == (True, True, False, ":16:8")
    assert settings() == (False, False, True, ":16:8")


def test_a_workspace_that_comes_too_late_is_an_error(other_settings, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    message = rf"train\.deterministic=true needs .* {WORKSPACE}=:4096:8 before CUDA starts"
    with pytest.raises(ValueError, match=message), deterministic_algorithms():
        pass
    assert settings() == (False, False, True, None)


def test_a_workspace_that_cuda_has_started_with_serves_the_next_stage(other_settings, monkeypatch):
    with deterministic_algorithms():
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert settings() == (False, False, True, ":4096:8")
    with deterministic_algorithms():
        assert settings() == (True, True, False, ":4096:8")


def test_a_run_is_deterministic_where_its_config_says_so(tmp_path, other_settings, monkeypatch):
    """On a CPU its bits are those of any run, and the setting is free to change."""
    seen, objective = [], steps.generator_objective
    monkeypatch.setattr(
        steps,
        "generator_objective",
        lambda *a, **k: (seen.append(settings()), objective(*a, **k))[1],
    )
    bottleneck = {"kind": "vq", "codebook_size": 16, "codebook_dim": 4, "kmeans_init": True}
    for name, length, deterministic in (
        ("changed", 2, True), ("changed", 4, False), ("plain", 4, False)
    ):  # fmt: skip
        run = tiny_run(
            bottleneck, steps=length, deterministic=deterministic, trackers=[], schedule="constant"
        )
        loop.train(run, tmp_path / name, show_progress=False)
        assert settings() == (False, False, True, None)
    assert [enabled for enabled, *_ in seen] == 2 * [True] + 6 * [False]
    assert_same_state(tmp_path / "changed", tmp_path / "plain")


@pytest.mark.parametrize("name", QUANTIZERS)
def test_no_quantizer_needs_an_operation_that_is_refused(name):
    torch.manual_seed(0)
    quantizer = build(BOTTLENECKS, QUANTIZERS[name], "bottleneck").train()
    x = torch.randn(64, quantizer.dim, requires_grad=True)
    with deterministic_algorithms():
        result = quantizer(x)
        (result.codes.square().mean() + result.loss).backward()


@pytest.mark.parametrize("kind", ["image", "video"])
def test_no_network_needs_an_operation_that_is_refused(kind):
    tokenizer = tiny_tokenizer(kind).train()
    with deterministic_algorithms():
        tokenizer(torch.rand(1, 3, 1 if kind == "image" else 5, 16, 16)).pixels.mean().backward()
