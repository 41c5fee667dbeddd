"""Call a command as it is typed, and look at what it told."""

import json
from dataclasses import dataclass

import pytest

from edgeresnet.cli import main


@dataclass(frozen=True)
class Told:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object that standard output holds, and nothing else."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        data = json.loads(self.out)
        assert isinstance(data, dict)
        return data

    @property
    def error(self):
        """What and hint, from the two lines that standard error ends with."""
        lines = self.err.splitlines()
        start = next(n for n, line in enumerate(lines) if line.startswith("error: "))
        what, *hint = lines[start:]
        assert len(hint) <= 1, self.err
        assert all(line.startswith("hint: ") for line in hint), self.err
        return what.removeprefix("error: "), "".join(hint).removeprefix("hint: ")


@pytest.fixture
def edgeresnet(capsys):
    """``edgeresnet("run", bundle, ...)``, in this process."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return call
