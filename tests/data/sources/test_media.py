"""Bad files in messages: the first few by name and reason, the others counted."""

from vistok.data.sources.media import NAMED_FILES, BadFile, bad_lines


def test_a_message_names_the_first_bad_files_and_counts_the_others():
    bad = [BadFile(f"{number}.png", "truncated", "OSError") for number in range(NAMED_FILES + 2)]
    assert bad_lines(bad[:2]) == "\n  0.png: truncated\n  1.png: truncated"
    assert bad_lines(bad[:NAMED_FILES]).count("truncated") == NAMED_FILES
    assert bad_lines(bad) == f"{bad_lines(bad[:NAMED_FILES])}\n  and 2 more"
    assert bad_lines([]) == ""
