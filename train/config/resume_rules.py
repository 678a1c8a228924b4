"""Rules on settings that differ between two starts of one run.

A checkpoint holds networks, their optimizers and averages. Everything else is a function of the
settings and of the step, so most settings can change in the middle of a run: they apply from the
next step on, as if the run had been switched there. Three kinds of settings exist:

    free      they change no weight, and may differ at every start
    fixed     the checkpoint holds what they describe, or they were used up at the first step
    others    they change the weights to come, and need `vistok train --allow-change KEY`

`train.steps` may always change, with a warning: schedules follow the new length.
"""

from collections.abc import Mapping
from typing import Any

# Settings by their dotted paths, as `config.flatten` returns them.
Settings = Mapping[str, Any]

LENGTH = "train.steps"

# Settings that may change between the starts of one run, because they change no weight.
KEYS_FREE_ON_RESUME = (
    "data.workers",
    "data.cache_files",
    "data.max_bad",
    "train.checkpoint_every_steps",
    "train.keep_last",
    "train.log_every_steps",
    "train.max_skipped_steps",
    "train.sample_every_steps",
    "train.trackers",
    "train.parallelism",
    "train.compile",
    "train.deterministic",
    "train.gradient_checkpointing",
    "train.latent_statistics_samples",
    "eval",
)

# Settings that no run can change, and why.
_FIXED = {
    "model": "the checkpoint holds weights of this architecture",
    "train.seed": "the order of the data and all random numbers follow from it",
    "train.optimizer.kind": "the checkpoint holds the state of this kind of optimizer",
    "start": "it was used before the first step",
}


def covers(key: str, setting: str) -> bool:
    """Return whether a key names a setting, or a section that it is in."""
    return setting == key or setting.startswith(f"{key}.")


def differences(before: Settings, now: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ and are not free, with both values; None where not set."""
    return {
        key: (before.get(key), now.get(key))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
        and not any(covers(free, key) for free in KEYS_FREE_ON_RESUME)
    }


def fixed_differences(before: Settings, now: Settings) -> dict[str, str]:
    """Return the settings that differ but cannot change, with the reason.

    A discriminator is fixed where the checkpoint holds one and the run still uses it: the
    adversarial weight may become 0, which drops the discriminator, and may rise from 0, which
    starts an untrained one. The same holds for a learned log-variance.

    Args:
        before: settings under which the checkpoint was saved.
        now: settings to resume with.
    """
    fixed = dict(_FIXED)
    if _both(before, now, "train.losses.adversarial_weight"):
        fixed["train.adversarial.discriminator"] = "the checkpoint holds weights of this network"
        if _discriminator_optimizer(before) != _discriminator_optimizer(now):
            fixed["train.adversarial.optimizer.kind"] = fixed["train.optimizer.kind"]
    if _both(before, now, "train.losses.learn_logvar"):
        fixed["train.losses.logvar_init"] = "it was used before the first step"
    return {
        key: reason
        for key in differences(before, now)
        for prefix, reason in fixed.items()
        if covers(prefix, key) and not _is_loss_weight(key)
    }


def _is_loss_weight(key: str) -> bool:
    """Return whether a setting of the model weighs a loss, which no weight of a network holds."""
    return key.startswith("model.bottleneck.") and key.endswith("_weight")


def _both(before: Settings, now: Settings, key: str) -> bool:
    return bool(before.get(key)) and bool(now.get(key))


def _discriminator_optimizer(settings: Settings) -> Any:
    """Return the kind of the discriminator's optimizer."""
    own = settings.get("train.adversarial.optimizer.kind")
    return settings.get("train.optimizer.kind") if own is None else own
