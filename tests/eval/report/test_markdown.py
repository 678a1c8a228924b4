"""The Markdown report shows names as they are, whatever they contain."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from made_rows import row
from vistok.data.sources.media import BadFile
from vistok.eval.protocols.protocol import CANONICAL
from vistok.eval.report.markdown import literal
from vistok.eval.report.report import Report
from vistok.eval.report.short_names import short_names

EVIL = [
    "<b>bad|x`y.jpg",
    "<svg onload=alert(1)>",
    "*x* _y_ **z** ~~w~~ $a$",
    "![a](http://example.org/b.png) [c](d)",
    "# title", "- item", "1. item", "> quote", "+ item", "===", "---",
    "a\\|b \\", "&lt;b&gt; &amp;", "``` code", "<!-- gone -->",
]  # fmt: skip


class Text(HTMLParser):
    """The text of a page, and the names of its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def rendered(text: str) -> Text:
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return Text(markdown.render(text))


@pytest.mark.parametrize("name", EVIL)
def test_a_name_shows_literally_wherever_it_stands(name: str):
    for text, tags in (
        (literal(name), {"p"}),
        (f"- {literal(name)}", {"ul", "li"}),
        (f"| a | b |\n|---|---|\n| {literal(name)} | c |",
         {"table", "thead", "tbody", "tr", "th", "td"}),
    ):  # fmt: skip
        page = rendered(text)
        assert name in page.text
        assert page.tags == tags


def test_line_breaks_do_not_leave_a_cell():
    assert literal("a\r\nb\u2028c\x1b[0m") == "a b c \\[0m"


def test_the_names_of_metrics_stay_readable_in_the_source():
    assert literal("lpips_alex, entropy-coded bits/pixel (%)") == (
        "lpips_alex, entropy-coded bits/pixel (%)"
    )


def test_a_report_shows_the_names_of_others_literally(tmp_path):
    evil = "".join(EVIL)
    bad = BadFile(evil, "<i>broken</i>", "OSError")
    shown = replace(row(evil, 0.5, 20.0, settings=evil), bad_files=(bad,))
    Report(evil, CANONICAL, [shown]).write(tmp_path)
    page = rendered((tmp_path / "report.md").read_text(encoding="utf-8"))
    headings, lists = {"h1", "h2", "p"}, {"ul", "li"}
    assert page.tags == {*headings, *lists, "table", "thead", "tbody", "tr", "th", "td"}
    assert page.text.count(evil) == 4, "source, bad file, and settings with their row's full name"
    assert page.text.count(short_names([evil])[evil]) == 2, "the row, and its settings"
    assert "<i>broken</i>" in page.text
