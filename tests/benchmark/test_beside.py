import sys

import pytest

from edgeresnet.benchmark.beside import rates_beside
from edgeresnet.core.errors import UsageError


def says(*lines, code=0):
    told = "\n".join(lines).replace('"', "'")
    return f"""{sys.executable} -c "print('''{told}'''); raise SystemExit({code})" """


def test_every_line_with_a_rate_is_taken_by_its_name():
    found = rates_beside(
        says(
            "decode alone      820.5 frames/s",
            "hello",
            "Model API: 106 frames/s",
            "12 frames/s",
        )
    )
    assert found == {"decode alone": 820.5, "Model API": 106}


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (says("nothing to see"), "gave no rate .exit 0.: nothing"),
        (says("x 5 frames/s", code=3), "gave no rate .exit 3."),
        ("/nowhere/at/all", "cannot run"),
        ("'unclosed", "cannot run"),
        ("", "cannot run"),
    ],
)
def test_a_program_that_gives_no_rate_is_named_with_what_it_said(command, what):
    with pytest.raises(UsageError, match=what):
        rates_beside(command)
