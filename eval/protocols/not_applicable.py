"""The error of a metric that the evaluated images or clips do not allow."""


class NotApplicableError(ValueError):
    """A metric is not defined for images of this size or clips of this length.

    Reports show its message as the reason why the metric is unavailable.
    """
