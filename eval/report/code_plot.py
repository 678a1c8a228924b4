"""Plot of how often codes are used, from the most frequent to the rarest, one line per group.

An evenly used codebook is a flat line that ends at its size; that of a collapsed one falls early.
"""

from ..harness.row import Row
from .chart import Series, axis_around, chart

MAX_GROUPS = 8


def code_plot(row: Row) -> str | None:
    """Plot the share of the vectors over the rank; None if there is no codebook."""
    groups = [group for group in row.code_ranks if group]
    if not groups:
        return None
    series = [
        Series(
            label=f"group {number}",
            points=tuple((float(rank), share) for rank, share in group),
            notes=tuple(f"group {number}, rank {rank}: {share:.3g}" for rank, share in group),
            color=number,
            joined=True,
        )
        for number, group in enumerate(groups[:MAX_GROUPS])
    ]
    ranks = [float(rank) for group in groups for rank, _ in group]
    shares = [share for group in groups for _, share in group]
    return chart(
        series,
        axis_around("rank of the code", ranks, "log"),
        axis_around("share of the vectors", shares, "log"),
        f"use of the codes of {row.tokenizer}",
    )


def code_facts(row: Row) -> str:
    """Summarize the use of the codes in a sentence."""
    use = row.code_use
    if use is None:
        return ""
    groups = len(use.usage)
    mean_entropy = sum(use.entropy) / groups
    sentence = (
        f"{100 * min(use.usage):.1f} to {100 * max(use.usage):.1f} % of the codes are used, "
        if groups > 1
        else f"{100 * use.usage[0]:.1f} % of the codes are used, "
    )
    sentence += f"{mean_entropy:.2f} bits of entropy per index"
    sentence += f" (equivalent to {2**mean_entropy:,.0f} evenly used codes)"
    if groups > MAX_GROUPS:
        sentence += f"; the first {MAX_GROUPS} of {groups} groups are shown"
    if caveat := row.caveats.get("empirical_bits_per_pixel"):
        sentence += f" (* {caveat})"
    return sentence
