"""The table: what compares stands together, what does not is marked, nothing is made up."""

from dataclasses import replace

from made_rows import discrete_row, preset_row, row, some_rows
from vistok.data.sources.media import BadFile
from vistok.eval.protocols.protocol import CANONICAL
from vistok.eval.report.markdown import markdown
from vistok.eval.report.notes import caveat_notes
from vistok.eval.report.table import table_of


def cells(rows, key):
    table = table_of(rows)
    index = [column.key for column in table.columns].index(key)
    return [line.cells[index] for line in table.lines]


def test_rows_of_other_rules_are_marked_in_every_figure_and_explained():
    table = table_of([discrete_row(), preset_row()])
    ours, theirs, canonical = table.lines
    assert (ours.mark, theirs.mark, canonical.mark) == ("", "†", "")
    assert [cell.text.endswith("†") for cell in cells([discrete_row(), preset_row()], "psnr")] == [
        False,
        True,
        False,
    ]
    assert [mark for mark, _ in table.legend] == ["", "†"]
    assert "†" in markdown("s", [discrete_row(), preset_row()], [], [])
    assert table_of(some_rows()).legend == ()


def test_different_hashes_of_one_name_are_different_rules():
    changed = replace(CANONICAL, ssim_pool=True)
    table = table_of([discrete_row(), replace(discrete_row(), protocol=changed)])
    assert [line.mark for line in table.lines] == ["", "†"]


def test_the_best_tokenizer_is_told_by_the_direction_of_the_metric():
    assert [cell.best for cell in cells(some_rows(), "psnr")] == [False, False, True] + 3 * [False]
    assert [cell.best for cell in cells(some_rows(), "rfid")][1:3] == [False, True]
    assert not any(cell.best for cell in cells([discrete_row()], "psnr"))


def test_a_mean_that_one_perfect_sample_made_infinite_is_not_the_best():
    lucky = row("lucky", 0.5, float("inf"))
    lucky.metrics["psnr_pooled"] = 22.0
    rows = [lucky, row("better", 0.5, 30.0)]
    assert [cell.best for cell in cells(rows, "psnr")] == [False, False]
    assert [cell.best for cell in cells(rows, "psnr_pooled")] == [False, True]


def test_cells_carry_their_interval_caveat_and_reason():
    (psnr,), (rfid,) = cells([discrete_row()], "psnr"), cells([discrete_row()], "rfid")
    assert psnr.note == "95 % interval 23.00 … 25.00"
    assert rfid.text == "4.167 *"
    assert "too large" in rfid.note


def test_columns_without_content_are_left_out_and_holes_are_dashes():
    keys = [column.key for column in table_of([row("jpeg:q=5", 0.2, 20.0)]).columns]
    assert "parameters" not in keys
    assert {"num_samples", "size", "protocol", "bits_per_pixel"} <= set(keys)
    assert [cell.text for cell in cells(some_rows(), "parameters")][:3] == ["–", "0.01", "1.00"]
    assert cells(some_rows(), "psnr")[0].text == "inf"


def test_a_reason_is_told_once_for_all_metrics_that_share_it():
    rows = [replace(discrete_row(), caveats={"ssim": "blurred", "psnr": "blurred", "rfid": "few"})]
    assert caveat_notes([*rows, *rows]) == ["psnr, ssim: blurred", "rfid: few"]
    assert "- \\* psnr, ssim: blurred\n" in markdown("s", rows, [], [])


def test_markdown_says_what_is_missing_and_escapes_its_cells():
    bad = (BadFile("a.png", "cannot be decoded", "OSError"),)
    rows = [replace(row("a|b", 0.2, 20.0), bad_files=bad), replace(discrete_row(), bad_files=bad)]
    text = markdown("4 images", rows, [], ["machine: a CPU"])
    assert "a\\|b" in text
    assert "lpips_alex is not measured: its weights are missing" in text
    assert "rfid: of 4 samples" in text
    assert text.count("left out a.png: cannot be decoded") == 1
    assert text.endswith("- machine: a CPU\n")


def test_a_rate_with_a_caveat_has_a_star():
    caveat = {"codebook_entropy": "few", "empirical_bits_per_pixel": "few"}
    scores = {"psnr": 24.0, "codebook_entropy": 3.0}
    table = table_of([replace(discrete_row(), metrics=scores, caveats=caveat)])
    cells = dict(zip([c.key for c in table.columns], table.lines[0].cells, strict=True))
    for key in caveat:
        assert cells[key].text.endswith(" *")
        assert "few" in cells[key].note
    assert not cells["bits_per_pixel"].text.endswith(" *")
