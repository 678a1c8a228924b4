"""Codebook usage, perplexity and entropy (bits): means over groups, over the whole evaluation.

The counting is `tokenizers/code_statistics.py`.
"""

CODEBOOK_METRICS = ("codebook_usage", "codebook_perplexity", "codebook_entropy")
NO_CODEBOOK = "has no codebook"
