"""Warm start: the weights of a run that does not start from random ones.

A later stage starts from an earlier run or from a published tokenizer. Differences between the two
models are declared (`start.adapt`) and reported; none are allowed beyond these.
"""

import logging
from pathlib import Path

from ...models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from ...tokenizers.adaptation.adapt import adapt_state
from ...tokenizers.converters.kl import read_autoencoder
from ...tokenizers.diffusers_source import is_diffusers, load_model, parse_source
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.start import Start
from ..losses.gan import GAN
from .checkpoint import State, load_checkpoint
from .run_folder import RunFolder, stored_config

log = logging.getLogger(__name__)


def load_warm_start(
    tokenizer: VisualTokenizer, start: Start, previous: Path | None, has_discriminator: bool
) -> State | None:
    """Load the weights that a run starts from into its tokenizer.

    Args:
        tokenizer: the model to be trained, with random weights.
        start: source of the weights, and how the models may differ.
        previous: folder of the previous stage, for `start.source: previous`.
        has_discriminator: whether the run has an adversarial loss.

    Returns:
        The state for `carry_discriminator`; None where the discriminator starts from scratch.

    Raises:
        ValueError: the source does not fit, beyond what `start.adapt` allows, or there is no
            discriminator to carry over, or no use for one.
        DamagedCheckpointError: the newest checkpoint of the source is damaged.
        FileNotFoundError: there is no such source.
    """
    carries = start.discriminator == "carry"
    if carries and not has_discriminator:
        raise ValueError(
            "start.discriminator=carry has no effect with train.losses.adversarial_weight=0; "
            "set the weight, or use start.discriminator=fresh"
        )
    source = _source_folder(start, previous)
    checkpoint = RunFolder(Path(source)).newest_checkpoint()
    if checkpoint is not None:
        state = load_checkpoint(checkpoint)
        origin = _trained(checkpoint, state["ema" if start.weights == "ema" else "model"])
    elif start.weights == "raw" or carries:
        raise ValueError(
            f"start.source={source} is not a run with checkpoints: start.weights=raw and "
            "start.discriminator=carry need one, a finished tokenizer has neither"
        )
    else:
        state, origin = None, _finished(source, tokenizer)
    # An autoencoder of diffusers is the halves of a tokenizer: strict is about these.
    is_prior = is_diffusers(source) and start.adapt == "strict"
    adaptation = adapt_state(origin, tokenizer, "halves" if is_prior else start.adapt)
    tokenizer.load_state_dict(adaptation.state)
    _check_domain(source, origin, tokenizer)
    weights = "weights" if checkpoint is None else start.weights
    log.info("start: %s of %s: %s", weights, checkpoint or source, adaptation)
    if not carries:
        return None
    if state is None or state["discriminator"] is None:
        raise ValueError(f"start.discriminator=carry: the run {source} has no discriminator")
    return {part: state[part] for part in ("discriminator", "lecam")}


def carry_discriminator(gan: GAN, carried: State) -> None:
    """Continue with an earlier run's discriminator, and with LeCam's averages of its logits.

    Raises:
        ValueError: it is another network.
    """
    try:
        gan.discriminator.load_state_dict(carried["discriminator"])
    except RuntimeError as error:
        raise ValueError(
            "start.discriminator=carry: the discriminator of start.source is another network than "
            "train.adversarial.discriminator describes; use its options, or "
            "start.discriminator=fresh"
        ) from error
    gan.lecam.load_state_dict(carried["lecam"])


def _source_folder(start: Start, previous: Path | None) -> str:
    assert start.source is not None, "called where a start is configured"
    if start.source != "previous":
        return start.source
    if previous is None:
        raise ValueError("start.source=previous needs a stage before this one")
    return str(previous)


def _finished(source: str, target: VisualTokenizer) -> VisualTokenizer:
    """Load a finished tokenizer, or an autoencoder of diffusers in the form that a target takes.

    Raises:
        ValueError: the target has networks of our own, and the source is not an AutoencoderKL.
    """
    if not is_diffusers(source):
        return VisualTokenizer.from_pretrained(finished_tokenizer(source))
    found = parse_source(source)
    if isinstance(target.encoder, DiffusersEncoder) or isinstance(target.decoder, DiffusersDecoder):
        return VisualTokenizer.from_diffusers(load_model(found))
    if found.wrapped.name != "AutoencoderKL":
        raise ValueError(
            f"start.source={source}: networks of our own stages start from an AutoencoderKL only; "
            "set model.encoder.kind and model.decoder.kind to diffusers"
        )
    model = load_model(found)
    return read_autoencoder(model.config, model.state_dict())


def _check_domain(source: str, origin: VisualTokenizer, target: VisualTokenizer) -> None:
    """Raise if two wrapped encoders normalize the same latents in different ways.

    Local folders are compared with the config before a run; this is for models from the hub, too.
    """
    theirs, ours = origin.encoder, target.encoder
    if not isinstance(theirs, DiffusersEncoder) or not isinstance(ours, DiffusersEncoder):
        return
    given, expected = ours.published_scale.to_config(), theirs.published_scale.to_config()
    wrong = [
        f"{name} is {given[name]!r} in model.encoder.config, but {expected[name]!r} in start.source"
        for name in given
        if given[name] != expected[name]
    ]
    if wrong:
        raise ValueError(
            f"start.source={source} normalizes latents otherwise: {'; '.join(wrong)}; "
            "use the source's values"
        )


def finished_tokenizer(source: str) -> str:
    """Return the tokenizer folder of a source without checkpoints, such as the top of stages."""
    inside = RunFolder(Path(source)).tokenizer
    return str(inside) if (inside / "config.json").is_file() else source


def _trained(checkpoint: Path, weights: State) -> VisualTokenizer:
    """Build the tokenizer of a checkpoint and load its weights."""
    tokenizer = stored_config(checkpoint / "config.yaml").build_tokenizer()
    tokenizer.load_state_dict(weights)
    return tokenizer
