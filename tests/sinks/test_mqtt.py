import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sinks import mqtt, open_sink
from edgeresnet.sinks.event import EventLine

pytestmark = pytest.mark.usefixtures("nothing_left", "quick")

PASSWORD = "p@ss w%rd&#"
CHILD = """
import sys, time
import numpy as np
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import open_sink

with open_sink(sys.argv[1], model="m") as sink:
    for index in range(int(sys.argv[2])):
        frame = Frame(np.zeros((2, 3, 3), np.uint8), index, index, "camera-0")
        sink.put(frame, Classification((Label(1, "cat", 0.5),)))
    while sink.delivery().waiting:
        time.sleep(0.01)
    print("delivered", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def login(monkeypatch):
    """The reference to a user and a password."""
    monkeypatch.setenv("BROKER_LOGIN", f"me:{PASSWORD}")
    return "auth=env:BROKER_LOGIN"


def sink(port, more="", topic="site/events", scheme="mqtt", host="127.0.0.1"):
    return open_sink(f"{scheme}://{host}:{port}/{topic}{more}", model="sha256:ab")


def numbers(payloads):
    return [json.loads(payload)["frame"] for payload in payloads]


def ids(payloads):
    return [json.loads(payload)["event_id"] for payload in payloads]


# K1
def test_a_broker_that_comes_late_gets_all_in_order(broker, listener, put, until, exact):
    late = broker(persistent=True).start()
    one = listener(late.port, name="one")  # the broker keeps for it what it misses
    late.stop()
    with sink(late.port) as box:
        put(box, 100)
        until(lambda: box.delivery().errors)
        assert exact(box.delivery()).waiting == 100
        assert "refused" in box.delivery().reason
        late.start()
        until(lambda: box.delivery().delivered == 100)
        put(box, 5, first=100)
        until(lambda: len(one.events()) == 105)
        assert exact(box.delivery()).dropped == {}
    assert numbers(one.events()) == list(range(105))
    assert len(set(ids(one.events()))) == 105
    EventLine.model_validate_json(one.events()[0])


def test_what_one_run_leaves_the_next_one_delivers(broker, listener, put, until, exact):
    late = broker()
    with sink(late.port) as box:
        put(box, 10)
        until(lambda: box.delivery().errors)
    late.start()
    one = listener(late.port)
    with sink(late.port) as box:
        put(box, 1, first=10)
        until(lambda: len(one.events()) == 11)
        until(lambda: exact(box.delivery()).delivered == 11)
    assert numbers(one.events()) == list(range(11))


# K2
def test_what_was_not_acknowledged_is_sent_again_with_its_id(stub, put, until, exact):
    def drops(connection):
        connection.accept()
        connection.acknowledge(connection.publish())  # the status
        for _ in range(3):
            connection.acknowledge(connection.publish())
        for _ in range(7):
            connection.publish()

    def obeys(connection):
        connection.accept()
        connection.obey()

    with stub.Stub(drops, obeys) as server, sink(server.port) as box:
        put(box, 10)
        until(lambda: box.delivery().delivered == 10)
        assert exact(box.delivery()).errors == 1
        assert numbers(server.events) == [*range(10), *range(3, 10)]
        found = ids(server.events)
        assert found[3:10] == found[10:]


def test_a_broker_that_falls_silent_is_given_up(stub, put, until, monkeypatch):
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)

    def falls_silent(connection):
        connection.pings = False
        connection.accept()
        connection.acknowledge(connection.publish())
        connection.packet()

    def obeys(connection):
        connection.accept()
        connection.obey()

    with stub.Stub(falls_silent, obeys) as server, sink(server.port) as box:
        until(lambda: box.delivery().errors)
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
    assert server.connections >= 2


def test_a_broker_that_answers_pings_only_is_given_up(stub, put, until, monkeypatch):
    monkeypatch.setattr(mqtt, "ACKNOWLEDGE_S", 0.3)

    def pings(connection):
        connection.accept()
        while True:
            connection.packet()

    with stub.Stub(pings) as server, sink(server.port) as box:
        put(box, 1)
        until(lambda: "timeout: " in box.delivery().reason)
        assert "does not acknowledge" in box.delivery().reason


def test_a_broker_that_never_answers_is_given_up(stub, until, monkeypatch):
    monkeypatch.setattr(mqtt, "ANSWER_S", 0.3)
    with stub.Stub(stub.silent) as server, sink(server.port) as box:
        until(lambda: box.delivery().errors >= 2)
        assert "does not accept the connection" in box.delivery().reason


def test_a_broker_of_an_older_protocol_is_named(stub, put, until):
    def refuses(connection):
        connection.accept(1)

    def older(connection):
        connection.accept()
        assert connection.version == 4
        connection.obey()

    with stub.Stub(refuses) as server, sink(server.port) as box:
        until(lambda: box.delivery().state == "failing")
        assert "add ?protocol=3.1.1" in box.delivery().reason
    with stub.Stub(older) as server, sink(server.port, "?protocol=3.1.1") as box:
        put(box, 3)
        until(lambda: box.delivery().delivered == 3)


def test_what_a_broker_sends_is_ignored(stub, put, until):
    def hostile(connection):
        connection.accept()
        connection.acknowledge(connection.publish())
        topic = b"\0\x04site"
        for payload in (b"x" * 10_000_000, b"[" * 100_000, b'{"command": "rm"}'):
            connection.send(stub.PUBLISH, topic + b"\0" + payload)
        connection.send(stub.PUBLISH, b"\0\x02\xff\xfe\0" + b"no topic")
        connection.obey()

    with stub.Stub(hostile) as server, sink(server.port) as box:
        put(box, 5)
        until(lambda: box.delivery().delivered == 5)
        assert server.connections == 1


def test_what_is_no_mqtt_is_survived(stub, put, until):
    def noise(connection):
        connection.connected()
        connection.send(15, b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def obeys(connection):
        connection.accept()
        connection.obey()

    with stub.Stub(noise, obeys) as server, sink(server.port) as box:
        put(box, 5)
        until(lambda: box.delivery().delivered == 5)


def test_more_is_never_under_way_than_the_broker_takes(stub, put, until):
    most = []

    def slow(connection):
        connection.accept()
        connection.acknowledge(connection.publish())
        under_way = []
        while True:
            under_way.append(connection.publish())
            most.append(len(under_way))
            if len(under_way) == 20:
                time.sleep(0.1)  # one more would come now
                connection._peer.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connection._peer.recv(1)
                connection._peer.setblocking(True)
                for mid in under_way:
                    connection.acknowledge(mid)
                under_way.clear()

    with stub.Stub(slow) as server, sink(server.port) as box:
        put(box, 100)
        until(lambda: box.delivery().delivered == 100)
    assert max(most) == 20


# K3
def test_a_full_spool_drops_as_it_was_told(broker, put, until, exact, said):
    with sink(broker().port, "?spool_mb=0.01&full=reject_new") as box:
        put(box, 100)
        status = exact(box.delivery())
        assert 0 < status.waiting < 50
        assert status.dropped == {"spool_full": 100 - status.waiting}
    assert "events are lost from" in said()


# K5
@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
def test_the_right_password_is_taken(
    scheme, broker, put, until, login, certificate, tmp_path, said
):
    ca = certificate(tmp_path, "ca")
    tls = certificate(tmp_path, "server", authority=ca) if scheme == "mqtts" else None
    one = broker(users={"me": PASSWORD}, tls=tls).start()
    more = f"?{login}" + (f"&ca={ca[0]}" if tls else "")
    with sink(one.port, more, scheme=scheme) as box:
        put(box, 5)
        until(lambda: box.delivery().delivered == 5)
    assert PASSWORD not in said()
    assert "CLEAR" not in said()  # this machine's own wires


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_told_and_tried_seldom(
    protocol, broker, put, until, login, said, exact
):
    one = broker(users={"me": "another"}).start()
    with sink(one.port, f"?{login}&protocol={protocol}") as box:
        put(box, 3)
        until(lambda: box.delivery().state == "failing")
        time.sleep(0.2)
        status = exact(box.delivery())
        assert status.reason.startswith("unauthorized: ")
        assert status.errors <= 2
        assert status.waiting == 3
        assert PASSWORD not in repr(status) + repr(box) + repr(box.__dict__)
    assert PASSWORD not in said()


def test_a_topic_that_is_not_allowed_is_told_and_nothing_is_lost(broker, put, until, exact):
    one = broker(acl="topic write site/events/status\n").start()
    with sink(one.port) as box:
        put(box, 3)
        until(lambda: box.delivery().state == "failing")
        assert "forbidden: " in box.delivery().reason
        assert "site/events" in box.delivery().reason
        assert exact(box.delivery()).waiting == 3


def test_a_status_that_is_not_allowed_is_said_and_events_go(broker, put, until, said):
    one = broker(acl="topic write site/events\n").start()
    with sink(one.port) as box:
        put(box, 3)
        until(lambda: box.delivery().delivered == 3)
        until(lambda: "topic site/events/status is refused" in said())


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("expired", "has expired"),
        ("host", "is for another host"),
        ("authority", "comes from an authority that nobody here trusts"),
        ("itself", "is signed by itself"),
    ],
)
def test_a_certificate_that_is_not_right_is_never_taken(
    fault, line, broker, put, until, login, certificate, tmp_path
):
    ca, other = (certificate(tmp_path, name) for name in ("ca", "other"))
    tls = certificate(
        tmp_path,
        "server",
        host="example.org" if fault == "host" else "127.0.0.1",
        days=-1 if fault == "expired" else 2,
        authority=None if fault == "itself" else other if fault == "authority" else ca,
    )
    one = broker(users={"me": PASSWORD}, tls=tls).start()
    with sink(one.port, f"?{login}&ca={ca[0]}", scheme="mqtts") as box:
        put(box, 1)
        until(lambda: box.delivery().state == "failing")
        assert box.delivery().reason.startswith("tls: ")
        assert line in box.delivery().reason
        time.sleep(0.2)
        assert box.delivery().errors <= 2
    assert "as edgeresnet" not in one.log()  # no client came so far as to say its name


def test_a_broker_without_tls_gets_no_password(broker, put, until, login):
    one = broker(users={"me": PASSWORD}).start()
    with sink(one.port, f"?{login}", scheme="mqtts") as box:
        put(box, 1)
        until(lambda: box.delivery().errors)
        assert box.delivery().delivered == 0
    assert "as edgeresnet" not in one.log()


def test_a_name_that_nobody_knows_is_told(until, put):
    with sink(1883, host="no-such-host.invalid") as box:
        until(lambda: box.delivery().errors)
        assert box.delivery().reason.startswith("dns: ")


# K6
def test_the_state_is_kept_by_the_broker(broker, listener, until, put):
    one = broker().start()
    watch = listener(one.port)
    with sink(one.port) as box:
        until(lambda: watch.states() == ["online"])
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
    until(lambda: watch.states() == ["online", "stopped"])
    late = listener(one.port)
    until(lambda: late.heard == [("site/events/status", b"stopped", True)])


def test_a_process_that_is_killed_is_offline(broker, listener, until):
    one = broker().start()
    watch = listener(one.port)
    command = [sys.executable, "-c", CHILD, f"mqtt://127.0.0.1:{one.port}/site/events", "3"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        assert child.stdout.readline() == "delivered\n"
        os.kill(child.pid, signal.SIGKILL)
    until(lambda: watch.states() == ["online", "offline"])
    with sink(one.port):
        until(lambda: watch.states()[-1] == "online")
    assert numbers(watch.events()) == [0, 1, 2]


# K7
def test_a_broker_that_forgot_the_state_is_told_again(broker, listener, until, put):
    one = broker().start()
    with sink(one.port) as box:
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
        one.stop()
        until(lambda: box.delivery().errors)
        one.start()
        watch = listener(one.port)
        until(lambda: watch.states() == ["online"])
        until(lambda: box.delivery().reason == "")


def test_runs_of_one_spool_have_the_same_client_id_and_others_another(broker, until, put):
    one = broker().start()
    for more in ("", "", "?spool=other"):
        with sink(one.port, more) as box:
            put(box, 1)
            until(lambda box=box: box.delivery().delivered == 1)
    names = [line.split(" as ")[1].split()[0] for line in one.log().splitlines() if " as e" in line]
    assert names[0] == names[1] != names[2]


def test_the_topic_names_the_source(broker, listener, put, until):
    one = broker().start()
    watch = listener(one.port)
    with sink(one.port, topic="site/{source}/events") as box:
        put(box, 1, "cam+1/#$x\n")
        until(lambda: len(watch.heard) == 2)
    assert [topic for topic, _, _ in watch.heard[:2]] == [
        "site/events/status",
        "site/cam_1___x_/events",
    ]


def test_many_events_go_quickly(broker, listener, put, until, exact):
    one = broker().start()
    with sink(one.port) as box:
        put(box, 2000)
        until(lambda: exact(box.delivery()).delivered == 2000)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("mqtt://host", "no topic", "mqtt://HOST:1883/TOPIC"),
        ("mqtt:///topic", "no host", "mqtt://HOST:1883/TOPIC"),
        ("mqtt:host/topic", "no host", "mqtt://HOST:1883/TOPIC"),
        ("mqtt://host:99999/t", "no URL", "mqtt://HOST:1883/TOPIC"),
        ("mqtt://host/a/+/b", "no + or #", ""),
        ("mqtt://host/a%23b", "no + or #", ""),
        ("mqtt://host/a#b", "no + or #", ""),
        ("mqtt://host/$SYS/a", "does not begin with", ""),
        ("mqtt://me:geheim77@host/t", "a password in the address", "auth=env:NAME"),
        ("mqtt://geheim77@host/t", "a password in the address", "auth=env:NAME"),
        ("mqtt://host/t?evry=1", "unknown key 'evry'", "every"),
        ("mqtt://host/t?every=1&every=2", "every is given twice", ""),
        ("mqtt://host/t?every=-1", "every", ""),
        ("mqtt://host/t?spool=../x", "spool", ""),
        ("mqtt://host/t?spool_mb=0", "spool_mb", ""),
        ("mqtt://host/t?full=never", "full", ""),
        ("mqtt://host/t?auth=me:geheim77", "by reference", "env:NAME"),
        ("mqtt://host/t?auth=env:ABSENT", "no ABSENT", ""),
        ("mqtt://host/t?auth=env:NO_COLON", "not user:password", ""),
        ("mqtt://host/t?ca=x.pem", "ca is for TLS", "mqtts:"),
        ("mqtts://host/t?ca=/no/such.pem", "no such file", ""),
        ("mqtts://host/t?ca=/etc/hostname", "holds no certificate", ""),
        ("mqtt://ho st/t", "blank or control", ""),
    ],
)
def test_a_wrong_address_is_refused_at_once(text, what, hint, monkeypatch, state):
    monkeypatch.setenv("NO_COLON", "geheim77")
    with pytest.raises(UsageError) as caught, open_sink(text, model="m"):
        pass
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert "geheim77" not in str(caught.value)
    assert not list(state.glob("*.spool"))


def test_a_second_run_to_the_same_place_needs_a_spool_of_its_own(broker):
    port = broker().port
    with sink(port):
        with pytest.raises(UsageError, match="another run uses the spool mqtt-") as caught:
            sink(port).__enter__()
        assert "?spool=NAME" in caught.value.hint
        with sink(port, "?spool=second"):
            pass


def test_a_password_in_the_clear_is_said_aloud(login, said, monkeypatch):
    monkeypatch.setattr(mqtt.Broker, "work", lambda *_: None)
    with sink(1883, f"?{login}", host="192.0.2.1"):
        pass
    assert "PASSWORD IS SENT IN THE CLEAR" in said()
    assert PASSWORD not in said()


@pytest.fixture(autouse=True)
def _no_paho_noise(caplog):
    caplog.set_level(logging.DEBUG)
