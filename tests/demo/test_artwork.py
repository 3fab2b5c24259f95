"""The posters."""

from __future__ import annotations

import hashlib
from xml.etree import ElementTree

import pytest

from sslbroker.demo.artwork import PICTURES, picture


def test_each_picture_is_well_formed_and_different() -> None:
    pictures = [picture(number) for number in range(1, PICTURES + 1)]
    assert len(set(pictures)) == PICTURES
    for drawn in pictures:
        assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(drawn) < 8000


def test_a_picture_is_the_same_in_every_run() -> None:
    # Servers of two processes must be able to finish each other's answers.
    assert hashlib.sha256(picture(1)).hexdigest()[:16] == "7b88b7fb32dee1e1"


@pytest.mark.parametrize("number", [0, -1, PICTURES + 1])
def test_there_is_no_other_picture(number: int) -> None:
    with pytest.raises(ValueError, match="numbered 1 to 50"):
        picture(number)
