"""What training minimises and steps with, against the tensors of WeTok's own code.

Cases are found by what their sidecars say, never by file name.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from vistok.component import build, validate
from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.models.discriminators.discriminator import Discriminator
from vistok.tokenizers.encoding import Encoding, Output
from vistok.tokenizers.layout import Layout
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import GAN, build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.optimization.ema import EMA
from vistok.train.optimization.schedule import ScheduleName, learning_rate_factor

Tensors = dict[str, torch.Tensor]

# The references' fp32 values are this far from float64 themselves.
TOLERANCE = 2e-5


def cases(folder: Path, wanted) -> Iterator[tuple[dict, Tensors]]:
    """Sidecar and tensors of every WeTok case of a kind."""
    found = False
    for path in sorted((folder / "wetok").glob("*.json")):
        sidecar = json.loads(path.read_text())
        if wanted(sidecar.get("case", "")) and path.with_suffix(".safetensors").exists():
            found = True
            yield sidecar, load_file(path.with_suffix(".safetensors"))
    if not found:
        pytest.skip(f"no such WeTok case in {folder}")


def part(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors below a prefix, under the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def assert_close(ours: torch.Tensor, theirs: torch.Tensor | float, what: str) -> None:
    theirs = torch.as_tensor(theirs, dtype=torch.float32)
    torch.testing.assert_close(
        ours.detach().float().reshape(theirs.shape),
        theirs,
        atol=TOLERANCE,
        rtol=TOLERANCE,
        msg=lambda text: f"{what}: {text}",
    )


def assert_gradient_close(ours: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    error = (ours - theirs).abs().max()
    assert error <= TOLERANCE + TOLERANCE * theirs.abs().max(), f"{what}: off by {error}"


def clip(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures as the clips of one frame that they are here; clips as they are."""
    return pictures if pictures.ndim == 5 else pictures.unsqueeze(2)


# ---- discriminators ------------------------------------------------------------------------------


def patchgan_options(kwargs: dict) -> dict:
    return {"base_channels": kwargs.get("ndf", 64), "num_layers": kwargs.get("n_layers", 3)}


def maskbit_options(kwargs: dict) -> dict:
    blurred = kwargs.get("blur_resample", False)
    return {
        "base_channels": kwargs.get("hidden_channels", 64),
        "num_layers": kwargs.get("num_stages", 3),
        "activation": "leaky_relu"
        if kwargs.get("activation_fn") in (None, "leaky_relu")
        else "silu",
        "pooling": f"blur{kwargs.get('blur_kernel_size', 4)}" if blurred else "average",
    }


# The reference's class names at the beginning of a sidecar's case.
REFERENCE_CLASSES = {
    "NLayerDiscriminator": ("patchgan", patchgan_options),
    "NLayerDiscriminator3D": ("patchgan_3d", patchgan_options),
    "NLayerDiscriminatorv2": ("maskbit", maskbit_options),
}


def test_discriminators_give_the_reference_logits_and_batch_statistics(parity_folder):
    for sidecar, tensors in cases(
        parity_folder, lambda case: case.split()[:1] and case.split()[0] in REFERENCE_CLASSES
    ):
        kind, options = REFERENCE_CLASSES[sidecar["case"].split()[0]]
        options = {"kind": kind, **options(sidecar["kwargs"])}
        discriminator: Discriminator = build(DISCRIMINATORS, options, "discriminator")
        discriminator.load_state_dict(part(tensors, "sd."), strict=True)
        pixels = clip(tensors["input"])
        for mode in ("eval", "train"):
            if f"logits_{mode}" in tensors:
                logits = discriminator.train(mode == "train")(pixels)
                assert_close(logits, tensors[f"logits_{mode}"], f"{options}, {mode}")
        after = discriminator.state_dict()
        for name, value in part(tensors, "after_train_forward.").items():
            assert_close(after[name], value.float(), f"{options}, {name}")


# ---- losses --------------------------------------------------------------------------------------


def reference_options(kwargs: dict) -> tuple[Losses, Adversarial]:
    """The reference's arguments as ours; what a sidecar leaves out has the reference's default."""
    # pixelloss_weight exists there and is not used.
    given = SimpleNamespace(
        **{
            "codebook_weight": 1.0,
            "codebook_enlarge_ratio": 3,
            "codebook_enlarge_steps": 2000,
            "disc_weight": 1.0,
            "disc_loss": "hinge",
            "disc_ndf": 64,
            "disc_num_layers": 3,
            "gen_loss_weight": None,
            "lecam_loss_weight": None,
            "use_blur": False,
            "disc_hidden_channels": 128,
            "disc_num_stages": 4,
            "blur_resample": True,
            "blur_kernel_size": 4,
            **kwargs,
        }
    )
    adaptive = given.gen_loss_weight is None
    losses = {
        "l1_weight": 1.0,
        "adversarial_weight": given.disc_weight if adaptive else given.gen_loss_weight,
        "entropy_warmup_weight": given.codebook_weight * given.codebook_enlarge_ratio,
        "entropy_warmup_steps": given.codebook_enlarge_steps,
    }
    if given.use_blur:
        discriminator = {
            "kind": "maskbit",
            "base_channels": given.disc_hidden_channels,
            "num_layers": given.disc_num_stages,
            "pooling": f"blur{given.blur_kernel_size}" if given.blur_resample else "average",
        }
    else:
        discriminator = {
            "kind": "patchgan",
            "base_channels": given.disc_ndf,
            "num_layers": given.disc_num_layers,
        }
    adversarial = {
        "discriminator": discriminator,
        "loss": {"non_saturate": "non_saturating"}.get(given.disc_loss, given.disc_loss),
        "generator_loss": "non_saturating",
        "adaptive": adaptive,
        "start_step": given.disc_start,
        "lecam_weight": given.lecam_loss_weight or 0.0,
    }
    return validate(Losses, losses), validate(Adversarial, adversarial)


class Game:
    """A case of the reference's loss module, played with ours."""

    def __init__(self, sidecar: dict, tensors: Tensors) -> None:
        self.tensors, self.kwargs = tensors, sidecar["kwargs"]
        self.training = sidecar.get("mode", "train") == "train"
        self.losses, options = reference_options(self.kwargs)
        self.gan: GAN = build_gan(options, torch.device("cpu"))
        self.discriminator = self.gan.discriminator
        weights = part(tensors, "sd.discriminator.")
        self.discriminator.load_state_dict(weights, strict=True)
        self.discriminator.train(self.training)
        self.logits: list[torch.Tensor] = []
        self.discriminator.register_forward_hook(lambda *call: self.logits.append(call[2]))

    def step(self, step: dict) -> None:
        number = step["step"]
        self.generator(number, step, stage=1)
        self.generator(number, step, stage=2)
        self.judge(number, step)

    def generator(self, number: int, step: dict, stage: int) -> None:
        name = {1: "gen", 2: "gen_stage2"}[stage]
        expected, what = step[name], f"step {number}, {name}"
        last_layer = self.tensors["last_layer.weight"].clone().requires_grad_(self.training)
        reconstruction = F.conv2d(
            self.tensors[f"{number}.features"],
            last_layer,
            self.tensors["last_layer.bias"],
            padding=1,
        )
        assert_close(reconstruction, self.tensors[f"{number}.recon"], f"{what}, reconstruction")
        # The second stage has a frozen quantizer in eval mode, whose losses are zero.
        terms = dict.fromkeys(QUANTIZER_TERMS, 0.0) if stage == 2 else self.quantizer_terms(step)
        losses = self.losses
        if stage == 2:
            losses = losses.model_copy(update={"entropy_warmup_weight": 0.0})
        if self.gan.generator_factor(step["global_step"]) == 0:
            # The reference runs the discriminator before its start as well. Nothing reads what
            # changes, its batch statistics; here that pass is left out.
            self.discriminator(clip(reconstruction).detach())
        objective = generator_objective(
            output_of(clip(reconstruction), terms, self.kwargs),
            clip(self.tensors[f"{number}.input"]),
            losses,
            step=step["global_step"],
            gan=self.gan,
            last_layer=last_layer,
        )
        assert_close(objective.loss, self.tensors[f"{number}.{name}.loss"], what)
        if "total_loss" in expected:
            weight = objective.terms["adversarial_weight"]
            assert_close(objective.loss, expected["total_loss"], what)
            assert_close(objective.terms["l1"], expected["nll_loss"], what)
            assert_close(weight, expected["d_weight"], what)
            assert_close(weight * objective.terms["generator"], expected["g_loss"], what)
        slope = self.tensors.get(f"{number}.{name}.grad_last_layer")
        if slope is not None:
            objective.loss.backward()
            assert last_layer.grad is not None
            assert_gradient_close(last_layer.grad, slope, what)
        assert all(p.grad is None for p in self.discriminator.parameters()), "left alone"

    def judge(self, number: int, step: dict) -> None:
        expected, what = step["disc"], f"step {number}, disc"
        lecam = self.gan.lecam
        if "lecam_before" in step:
            assert_close(torch.stack([lecam.real, lecam.fake]), step["lecam_before"], what)
        self.logits.clear()
        objective = discriminator_objective(
            self.discriminator,
            clip(self.tensors[f"{number}.input"]),
            clip(self.tensors[f"{number}.recon"]),
            gan=self.gan,
            step=step["global_step"],
        )
        for name, logits in zip(("logits_real", "logits_fake"), self.logits, strict=True):
            assert_close(logits, self.tensors[f"{number}.disc.{name}"], f"{what}, {name}")
            assert_close(objective.terms[name], logits.mean().item(), f"{what}, {name}")
        assert_close(objective.loss, self.tensors[f"{number}.disc.loss"], what)
        assert_close(objective.loss, expected["disc_loss"], what)
        assert_close(objective.terms["discriminator"], expected["non_saturated_d_loss"], what)
        if "lecam" in objective.terms:
            assert_close(objective.terms["lecam"], expected["lecam_loss"], what)
        if "lecam_after" in step:
            assert_close(torch.stack([lecam.real, lecam.fake]), step["lecam_after"], what)
        slopes = part(self.tensors, f"{number}.disc.grad_")
        if not objective.loss.requires_grad:  # before the start, where theirs is zero
            assert not any(slope.any() for slope in slopes.values()), what
        elif slopes:
            objective.loss.backward()
            first = next(self.discriminator.parameters())
            (slope,) = slopes.values()  # of the first convolution
            assert first.grad is not None
            assert_gradient_close(first.grad, slope, what)
            self.discriminator.zero_grad()

    def quantizer_terms(self, step: dict) -> dict[str, float]:
        """Sample and codebook entropy of a step, or any two of their difference."""
        sample = step["gen"].get("per_sample_entropy", step["entropy_aux"])
        return {
            "commitment": step["commitment"],
            "sample_entropy": sample,
            "codebook_entropy": sample - step["entropy_aux"],
        }


QUANTIZER_TERMS: tuple[str, ...] = ("commitment", "sample_entropy", "codebook_entropy")


def output_of(pixels: torch.Tensor, terms: dict[str, float], kwargs: dict) -> Output:
    """A tokenizer's output with these terms, weighed as the reference weighs them."""
    tensors = {name: torch.tensor(value) for name, value in terms.items()}
    entropy = tensors["sample_entropy"] - tensors["codebook_entropy"]
    loss = kwargs.get("codebook_weight", 1.0) * entropy
    loss = loss + kwargs.get("commit_weight", 0.25) * tensors["commitment"]
    latents = (torch.zeros(len(pixels), 1, 1, 1, 1),)
    height, width = pixels.shape[-2:]
    layout = Layout(((1, 1, 1),), (1, height, width))
    return Output(pixels, Encoding(latents, latents, None, None, layout, ()), loss, tensors)


def test_both_objectives_follow_the_reference_over_several_steps(parity_folder):
    """Losses, gradients, batch statistics and LeCam's averages, in the reference's order."""
    for sidecar, tensors in cases(
        parity_folder, lambda case: case.startswith("VQLPIPSWithDiscriminator")
    ):
        game = Game(sidecar, tensors)
        for step in sidecar["steps"]:
            game.step(step)
        state = game.discriminator.state_dict()
        for name, value in part(tensors, "final.discriminator.").items():
            assert_close(state[name], value.float(), name)


# ---- moving averages and schedules ---------------------------------------------------------------


def parameters(tensors: Tensors, prefix: str) -> nn.Module:
    """Parameters by their dotted names."""
    root = nn.Module()
    for path, value in part(tensors, prefix).items():
        *parents, name = path.split(".")
        module = root
        for parent in parents:
            if parent not in dict(module.named_children()):
                module.add_module(parent, nn.Module())
            module = module.get_submodule(parent)
        module.register_parameter(name, nn.Parameter(value.clone()))
    return root


def test_moving_averages_follow_the_reference(parity_folder):
    compared = 0
    for _, tensors in cases(parity_folder, lambda case: case.startswith("LitEma")):
        for mode in ("const", "warm"):
            steps = sorted({int(name.split(".")[1]) for name in tensors if name.startswith(mode)})
            for before, after in pairwise(steps):
                stored = part(tensors, f"{mode}.{before}.ema.")
                model = parameters(tensors, f"{mode}.{before}.param.")
                ema = EMA(model, float(stored["decay"]), warmup=mode == "warm")
                for name, shadow in ema.shadow.named_parameters():
                    if name.replace(".", "") in stored:
                        shadow.copy_(stored[name.replace(".", "")])
                ema.num_updates = int(stored["num_updates"])
                ema.update(parameters(tensors, f"{mode}.{after}.param."))
                expected = part(tensors, f"{mode}.{after}.ema.")
                if mode == "warm":
                    assert ema.num_updates == int(expected["num_updates"])
                for name, shadow in ema.shadow.named_parameters():
                    if name.replace(".", "") in expected:
                        assert_close(shadow, expected[name.replace(".", "")], f"{mode} {name}")
                        compared += 1
    assert compared


def schedule(name: str):
    """The factor on the peak rate, or the rate itself, that a fixture's name asks for."""
    number = r"([\d.e-]+)"
    if found := re.fullmatch(r"linear_warmup\((\d+)\)", name):
        return learning_rate_factor("constant", int(found[1]), 10**6, 0.0, warmup_start_factor=0.0)
    if found := re.fullmatch(rf"linear_warmup_cosine\((\d+),(\d+),min_mult={number}\)", name):
        warmup, steps, floor = int(found[1]), int(found[2]), float(found[3])
        return learning_rate_factor("clamped_cosine", warmup, steps, floor, warmup_start_factor=0.0)
    found = re.match(
        rf"lr_annealing (\w+) peak={number} wp_it=(\d+) max_it=(\d+) wp0={number} wpe={number}",
        name,
    )
    assert found, f"a schedule of another form: {name}"
    kinds: dict[str, ScheduleName] = {"lin0": "hold_linear", "cos": "cosine"}
    warmup, steps, floor = int(found[3]), int(found[4]), float(found[6])
    factor = learning_rate_factor(
        kinds[found[1]], warmup, steps, floor, warmup_start_factor=float(found[5])
    )
    return lambda step: float(found[2]) * factor(step)


def test_schedules_follow_the_reference(parity_folder):
    compared = 0
    for sidecar, _ in cases(parity_folder, lambda case: "schedule" in case):
        for name, samples in sidecar["schedules"].items():
            rate = schedule(name)
            for step, *expected in samples:
                for value in expected:
                    assert rate(step) == pytest.approx(value, rel=1e-9, abs=1e-15), (name, step)
                    compared += 1
    assert compared
