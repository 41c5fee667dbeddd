"""Tables show what they are given, whatever is in it."""

from edgeresnet.cli.console import print_table


def test_brackets_and_colons_are_shown_as_they_are(capsys):
    print_table(
        "", ("what", "found"), [("hint", "pip install 'edgeresnet[quantize]'"), (":cat:", 1)]
    )
    out = capsys.readouterr().out
    assert "edgeresnet[quantize]" in out
    assert ":cat:" in out
