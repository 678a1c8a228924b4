"""Names of their own: no two are alike, and whoever comes first keeps the given one."""

from vistok.eval.reconstructors.bicubic import Bicubic
from vistok.eval.reconstructors.unique_names import unique_names, with_unique_names


def test_names_are_numbered_where_they_came_before():
    assert unique_names(["a", "b", "a", "a"]) == ("a", "b", "a (2)", "a (3)")
    assert unique_names([]) == ()


def test_a_name_that_looks_numbered_is_not_given_twice():
    names = unique_names(["a", "a (2)", "a", "a (2)"])
    assert names == ("a", "a (2)", "a (3)", "a (2) (2)")


def test_only_what_gets_another_name_is_copied():
    first, second, third = Bicubic(2), Bicubic(4), Bicubic(2)
    one, two, three = with_unique_names([first, second, third])
    assert (one, two) == (first, second)
    assert (three.name, third.name) == ("bicubic:f=2 (2)", "bicubic:f=2")
