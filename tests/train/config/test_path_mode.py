"""Which path a step takes, and what the objective makes of two of them."""

import pytest
import torch

from runs import assert_same_state, tiny_run
from tiny import tiny_tokenizer
from vistok import VisualTokenizer
from vistok.component import validate
from vistok.train.config.path_mode import PathMode, path_of_step
from vistok.train.loop import train
from vistok.train.losses.gan import build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.monitor.metrics_log import read_metrics

DUAL = {
    "kind": "dual_path",
    "continuous": {"kind": "kl"},
    "quantizer": {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16},
}


def test_modes_are_functions_of_the_step():
    def taken(mode: PathMode, share: float = 0.5, seed: int = 0, steps: int = 1000) -> list[str]:
        return [path_of_step(mode, share, seed, step) for step in range(1, steps + 1)]

    for mode in ("both", "discrete", "continuous"):
        assert taken(mode, steps=5) == [mode] * 5
    assert taken("alternate", steps=4) == ["discrete", "continuous"] * 2
    for share in (0.2, 0.7):
        assert taken("sampled", share).count("discrete") == pytest.approx(1000 * share, abs=50)
    assert taken("sampled") == taken("sampled")
    assert taken("sampled") != taken("sampled", seed=1)
    assert set(taken("sampled", 0.0)) == {"continuous"}


def test_the_loss_of_both_paths_is_their_weighted_sum():
    tokenizer = tiny_tokenizer("image", {**DUAL, "continuous": {"kind": "plain"}}).train()
    pixels = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    weights = {"l1_weight": 2.0, "l2_weight": 3.0, "adversarial_weight": 0.1}
    rules = {
        "discriminator": {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"}
    }
    gan = build_gan(validate(Adversarial, rules), torch.device("cpu"))

    def loss(path: str, **more: float) -> tuple[float, dict]:
        losses = validate(Losses, {**weights, **more})
        output = tokenizer(pixels, path=path)
        objective = generator_objective(output, pixels, losses, gan=gan)
        return objective.loss.item(), objective.terms

    (discrete, its), (continuous, others) = loss("discrete"), loss("continuous")
    both, terms = loss("both")
    assert both == pytest.approx(discrete + continuous, rel=1e-5)
    assert loss("both", continuous_path_weight=0.25)[0] == pytest.approx(
        discrete + 0.25 * continuous, rel=1e-5
    )
    for name in ("l1", "l2"):
        torch.testing.assert_close(terms[f"discrete_{name}"], its[name])
        torch.testing.assert_close(terms[f"continuous_{name}"], others[name])
        torch.testing.assert_close(terms[name], (its[name] + others[name]) / 2)


@pytest.mark.parametrize("mode", ["both", "discrete", "continuous", "alternate", "sampled"])
def test_every_mode_trains_what_it_takes_and_logs_it(mode, tmp_path):
    run = tiny_run(DUAL, steps=3, path_mode=mode, log_every_steps=3)
    before = VisualTokenizer.state_dict(_untrained(run))
    result = train(run, tmp_path / "run", show_progress=False)
    tokenizer = VisualTokenizer.from_pretrained(result.tokenizer)
    moved = {n for n, value in tokenizer.state_dict().items() if not torch.equal(value, before[n])}
    projections = {n for n in before if n.startswith("bottleneck.quantizer.project")}
    assert bool(projections & moved) == (mode != "continuous")
    assert any(name.startswith("decoder.") for name in moved)
    assert len(tokenizer.config["latents_mean"]) == 16

    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    taken = {run.path(step) for step in (1, 2, 3)}
    assert mode != "alternate" or len(taken) == 2
    for path in ("discrete", "continuous"):
        assert (f"{path}_train_psnr" in last) == bool({path, "both"} & taken)
    assert (last["codebook_usage"] is None) == (mode == "continuous")
    assert last["eval_psnr"] > 0
    both = mode in ("both", "alternate", "sampled")
    assert ("eval_continuous_psnr" in last) == both
    assert not both or last["eval_continuous_psnr"] != last["eval_psnr"]


def _untrained(run) -> VisualTokenizer:
    torch.manual_seed(run.train.seed)
    return run.build_tokenizer()


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_a_run_of_drawn_paths_goes_on_exactly(share, tmp_path):
    """With 0.3 the discrete path comes after the checkpoint only: its moments are none there."""
    options = {"path_mode": "sampled", "discrete_share": share, "schedule": "constant"}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run, half = tiny_run(DUAL, **options), tiny_run(DUAL, steps=3, **options)
    assert "discrete" in {run.path(step) for step in range(4, 7)}
    assert ("discrete" in {run.path(step) for step in range(1, 4)}) == (share == 0.5)
    train(run, whole, show_progress=False)
    train(half, parts, show_progress=False)
    train(run, parts, show_progress=False)
    assert_same_state(whole, parts)


def test_metrics_of_codebooks_belong_to_the_discrete_path(tmp_path):
    run = tiny_run(DUAL, steps=1)
    run.eval.metrics = ["psnr", "codebook_usage"]
    train(run, tmp_path / "run", show_progress=False)
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    scores = {name for name in line if name.startswith("eval_continuous")}
    assert scores == {"eval_continuous_psnr"}


@pytest.mark.parametrize(
    ("bottleneck", "options", "message"),
    [
        (None, {"path_mode": "alternate"}, r"path_mode belongs to .*kind=dual_path, not to fsq"),
        (None, {"losses": {"continuous_path_weight": 0.5}}, r"continuous_path_weight belongs to"),
        (DUAL, {"discrete_share": 0.9}, r"discrete_share=0\.9 needs path_mode=sampled"),
        (
            DUAL,
            {"path_mode": "alternate", "freeze": ["encoder", "decoder"]},
            r"steps of the continuous path, which can learn nothing",
        ),
    ],
)
def test_settings_of_paths_without_effect_are_refused(bottleneck, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(bottleneck, **options)
