"""BalanceWatch: says aloud when the discriminator costs more than it should."""

import logging

log = logging.getLogger(__name__)

TOLERATED_DB = 1.0


class BalanceWatch:
    """Compares the training PSNR after the adversary's start with the best one before it.

    Args:
        start_step: steps before the adversary counts.
    """

    def __init__(self, start_step: int) -> None:
        self.start_step = start_step
        self.before: float | None = None
        self._warned = False

    def look(self, step: int, psnr: float) -> None:
        """Take notice of a mean PSNR in dB at a logged step; warn once."""
        if step <= self.start_step or self.before is None:
            self.before = psnr if self.before is None else max(self.before, psnr)
            return
        loss = self.before - psnr
        if loss > TOLERATED_DB and not self._warned:
            self._warned = True
            log.warning(
                "the discriminator has driven PSNR down by %.1f dB since its start (%.2f dB now, "
                "step %d): lower train.losses.adversarial_weight, raise "
                "train.adversarial.start_step, or set train.adversarial.warmup_steps",
                loss,
                psnr,
                step,
            )
