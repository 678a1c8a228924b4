"""Where a run's weights come from, when it does not begin with random ones.

A later stage starts from an earlier run or from a published tokenizer. What differs between the two
models is declared (`adapt`) and reported; nothing else may differ.
"""

import logging
from pathlib import Path

from ...tokenizers.adaptation import adapt_state
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig, Start
from ..losses.gan import Adversary
from .checkpoint import State, load_checkpoint
from .run_folder import RunFolder, stored_config

log = logging.getLogger(__name__)


def load_warm_start(
    config: RunConfig, tokenizer: VisualTokenizer, previous: Path | None
) -> State | None:
    """Give a tokenizer the weights that its run starts from.

    Args:
        config: the run; its `start` says where from, and how the models may differ.
        tokenizer: the model to be trained, with random weights.
        previous: folder of the stage before, for `start.source: previous`.

    Returns:
        What `carry_discriminator` takes over; None where the discriminator begins anew.

    Raises:
        ValueError: the source does not fit, beyond what `start.adapt` allows, or there is no
            discriminator to carry over, or no use for one.
        FileNotFoundError: there is no such source.
    """
    start = config.start
    carries = start.discriminator == "carry"
    if carries and not config.train.losses.adversarial_weight:
        raise ValueError(
            "start.discriminator=carry has no effect with train.losses.adversarial_weight=0; "
            "set the weight, or take start.discriminator=fresh"
        )
    source = _source_folder(start, previous)
    checkpoint = RunFolder(Path(source)).newest_checkpoint()
    if checkpoint is not None:
        state = load_checkpoint(checkpoint)
        origin = _trained(checkpoint, state["ema" if start.weights == "ema" else "model"])
    elif start.weights == "raw" or carries:
        raise ValueError(
            f"start.source={source} is no run with checkpoints: start.weights=raw and "
            "start.discriminator=carry need one, a finished tokenizer has neither"
        )
    else:
        state, origin = None, VisualTokenizer.from_pretrained(_finished_tokenizer(source))
    adaptation = adapt_state(origin, tokenizer, start.adapt)
    tokenizer.load_state_dict(adaptation.state)
    log.info("start: %s of %s: %s", start.weights, checkpoint or source, adaptation)
    if not carries:
        return None
    if state is None or state["discriminator"] is None:
        raise ValueError(f"start.discriminator=carry: the run {source} has no discriminator")
    return {part: state[part] for part in ("discriminator", "lecam")}


def carry_discriminator(adversary: Adversary, carried: State) -> None:
    """Go on with an earlier run's discriminator, and with LeCam's averages of its logits.

    Raises:
        ValueError: it is another network.
    """
    try:
        adversary.discriminator.load_state_dict(carried["discriminator"])
    except RuntimeError as error:
        raise ValueError(
            "start.discriminator=carry: the discriminator of start.source is another network than "
            "train.adversarial.discriminator describes; take its options, or "
            "start.discriminator=fresh"
        ) from error
    adversary.lecam.load_state_dict(carried["lecam"])


def _source_folder(start: Start, previous: Path | None) -> str:
    assert start.source is not None, "called where a start is configured"
    if start.source != "previous":
        return start.source
    if previous is None:
        raise ValueError("start.source=previous needs a stage before this one")
    return str(previous)


def _finished_tokenizer(source: str) -> str:
    """Where a run without checkpoints has its tokenizer: one in stages, or one tidied up."""
    inside = RunFolder(Path(source)).tokenizer
    return str(inside) if (inside / "config.json").is_file() else source


def _trained(checkpoint: Path, weights: State) -> VisualTokenizer:
    """The tokenizer of a checkpoint."""
    tokenizer = stored_config(checkpoint / "config.yaml").build_tokenizer()
    tokenizer.load_state_dict(weights)
    return tokenizer
