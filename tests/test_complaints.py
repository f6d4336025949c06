"""What people complain of most about socketserver does not happen here."""

import pytest

from complaints import COMPLAINTS


@pytest.mark.parametrize("name", COMPLAINTS)
def test_what_people_complain_of_does_not_happen(name: str) -> None:
    """`python -m complaints` prints the standard library's figures beside ours."""
    complaint = COMPLAINTS[name]
    figure = complaint.ours()
    assert complaint.good(figure), f"{complaint.words}: {figure} {complaint.unit}"


def test_the_figures_tell_good_from_bad() -> None:
    """The standard library's of the quick ones are not what people wish for."""
    for name in ("shared port", "burst", "names", "families", "tracebacks"):
        assert not COMPLAINTS[name].good(COMPLAINTS[name].stdlib()), name
