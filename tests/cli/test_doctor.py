"""``edgeresnet doctor`` as it is typed."""

import json

from edgeresnet.cli import main
from edgeresnet.doctor import packages
from edgeresnet.doctor.verdict import missing


def test_every_line_is_ok_missing_or_advice_with_something_to_do(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is True
    assert {"python", "processor", "onnxruntime", "cameras", "video"} <= {
        check["name"] for check in report["checks"]
    }
    for check in report["checks"]:
        assert check["verdict"] in ("ok", "missing", "advice")
        assert (check["verdict"] == "ok") == (check["hint"] == "")


def test_without_any_runtime_the_exit_code_is_3(capsys, monkeypatch):
    hint = "pip install 'edgeresnet[onnxruntime]'"
    monkeypatch.setattr(
        packages, "backends", lambda _host: (missing("onnxruntime", "absent", hint),)
    )
    assert main(["doctor"]) == 3
    told = capsys.readouterr()
    assert hint in told.out
    assert "bundles cannot be run" in told.err
    assert main(["doctor", "--json", "-q"]) == 3
    assert json.loads(capsys.readouterr().out)["usable"] is False
