"""An address is what ssh takes, and nothing that it could take for something else."""

import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.deploy.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("jetson", "jetson", None),
        ("pi@10.0.0.7", "pi@10.0.0.7", None),
        ("pi@10.0.0.7:2222", "pi@10.0.0.7", 2222),
        ("fe80::1", "fe80::1", None),
        ("[fe80::1]", "fe80::1", None),
        ("pi@[fe80::1%eth0]:22", "pi@fe80::1%eth0", 22),
    ],
)
def test_an_address_may_end_in_a_port(text, host, port):
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "-oProxyCommand=touch /tmp/x",
        "-l",
        "pi@-oProxyCommand=x",
        "-x@host",
        "[-x]:22",
        "",
        "pi@",
        "a b",
        "a\nb",
        "host:0",
        "host:65536",
    ],
)
def test_what_ssh_could_take_for_an_option_is_no_host(text):
    with pytest.raises(UsageError):
        parse_address(text)


def test_there_is_one_port():
    with pytest.raises(UsageError, match="two ports"):
        parse_address("host:22", 23)


@pytest.mark.parametrize(
    ("text", "ssh", "scp"),
    [
        ("pi@jetson", "ssh -o a=b pi@jetson", "scp -o a=b x.whl pi@jetson:"),
        (
            "pi@jetson:22022",
            "ssh -o a=b -p 22022 pi@jetson",
            "scp -o a=b -P 22022 x.whl pi@jetson:",
        ),
        ("pi@[fe80::1]", "ssh -o a=b pi@fe80::1", "scp -o a=b x.whl 'pi@[fe80::1]:'"),
    ],
)
def test_a_person_can_call_and_copy_by_hand(text, ssh, scp):
    address = parse_address(text, options=("a=b",))
    assert address.words == ssh
    assert address.scp("x.whl") == scp
