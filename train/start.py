"""Where a run's weights come from, when it does not begin with random ones.

A later stage starts from an earlier run or from a published tokenizer. What differs between the two
models is declared (`adapt`) and reported; nothing else may differ.
"""

import logging
from pathlib import Path

from ..tokenizers.adaptation import adapt_state
from ..tokenizers.tokenizer import VisualTokenizer
from .checkpoint import State, load_checkpoint
from .run_config import Start
from .run_folder import RunFolder, stored_config

log = logging.getLogger(__name__)


def load_start(start: Start, tokenizer: VisualTokenizer, previous: Path | None) -> State | None:
    """Give a tokenizer the weights that its run starts from.

    Args:
        start: where from, and how it may differ.
        tokenizer: the model to be trained, with random weights.
        previous: folder of the stage before, for `start.source: previous`.

    Returns:
        The discriminator's weights if they are carried over.

    Raises:
        ValueError: the source does not fit, beyond what `start.adapt` allows.
        FileNotFoundError: there is no such source.
    """
    source = start.source
    assert source is not None, "called where a start is configured"
    if source == "previous":
        if previous is None:
            raise ValueError("start.source=previous needs a stage before this one")
        source = str(previous)
    checkpoint = RunFolder(Path(source)).newest_checkpoint()
    if checkpoint is not None:
        state = load_checkpoint(checkpoint)
        origin = _trained(checkpoint, state["ema" if start.weights == "ema" else "model"])
    elif start.weights == "raw" or start.discriminator == "carry":
        raise ValueError(
            f"start.source={source} is no run with checkpoints: start.weights=raw and "
            "start.discriminator=carry need one"
        )
    else:
        state, origin = None, VisualTokenizer.from_pretrained(source)
    adaptation = adapt_state(origin, tokenizer, start.adapt)
    tokenizer.load_state_dict(adaptation.state)
    log.info("start: %s of %s: %s", start.weights, checkpoint or source, adaptation)
    if start.discriminator == "fresh":
        return None
    if state is None or state["discriminator"] is None:
        raise ValueError(f"start.discriminator=carry: the run {source} has no discriminator")
    return state["discriminator"]


def _trained(checkpoint: Path, weights: State) -> VisualTokenizer:
    """The tokenizer of a checkpoint."""
    tokenizer = stored_config(checkpoint / "config.yaml").build_tokenizer()
    tokenizer.load_state_dict(weights)
    return tokenizer
