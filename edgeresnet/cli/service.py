"""``edgeresnet service``: print the systemd unit for a run configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edgeresnet.cli.console import print_json, say
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import UsageError

_DEFAULT = Path("/etc/edgeresnet/app.toml")
_ARGUS = Path("/usr/sbin/nvargus-daemon")


@click.command(
    epilog="Example: edgeresnet service --print | sudo tee /etc/systemd/system/edgeresnet.service"
)
@click.option("--print", "as_text", is_flag=True, help="Print the unit; it does nothing else.")
@click.option(
    "--config", type=PATH, default=_DEFAULT, help="What it runs. [/etc/edgeresnet/app.toml]"
)
@click.option("--user", default="edgeresnet", help="The user it runs as. [edgeresnet]")
@click.option("--name", default="edgeresnet", help="Of the service. [edgeresnet]")
@click.option("--gpu", is_flag=True, help="Let it use an NVIDIA GPU.")
@shared
def command(
    *,
    as_text: bool,
    config: Path,
    user: str,
    name: str,
    gpu: bool,
    as_json: bool,
    quiet: bool,
    **_: object,
) -> None:
    """Print a systemd unit that keeps a run going, watches it and shuts it in."""
    if not as_text:
        raise UsageError(
            "service only prints a unit, it installs nothing",
            hint="edgeresnet service --print | sudo tee /etc/systemd/system/edgeresnet.service",
        )
    from edgeresnet.run.unit import DEVICES, Service, gpu_devices

    config = config.absolute()
    bundle, secrets, csi = _wanted(config, quiet=quiet)
    service = Service(
        name,
        user,
        _program(),
        config,
        told=_told(config, user, name, gpu=gpu),
        reads=(Path(sys.base_prefix), *bundle),
        credentials=tuple(
            one.removeprefix("credential:") for one in secrets if one.startswith("credential:")
        ),
        groups=_groups(),
        devices=gpu_devices(_nodes()) if gpu else DEVICES,
        gpu=gpu,
        csi=gpu and csi,
    )
    if csi and not gpu:
        say(f"note: {config} has a CSI camera, which a service sees with --gpu only", quiet=quiet)
    for one in secrets:
        if one.startswith("env:"):
            say(f"note: {config} takes {one}, a service rather credential:NAME", quiet=quiet)
    for path in service.hidden:
        say(f"note: the service has a /tmp of its own and does not see {path}", quiet=quiet)
    for path in service.at_home:
        say(f"note: can the user {user} read {path}? Better in /opt, /etc or /srv", quiet=quiet)
    if as_json:
        print_json({"name": f"{name}.service", "unit": service.unit()})
    else:
        click.echo(service.unit(), nl=False)


def _wanted(config: Path, *, quiet: bool) -> tuple[tuple[Path, ...], tuple[str, ...], bool]:
    """The bundle, the secrets and whether there are CSI cameras, where it can be read."""
    from edgeresnet.run.config import unchecked_app

    if os.access(config, os.R_OK):
        app, secrets = unchecked_app(config)
        csi = any(uri.startswith(("csi://", "gst://csi")) for uri in app.sources)
        return (app.bundle.absolute(),), secrets, csi
    say(f"note: {config} cannot be read: no LoadCredential= for its secrets", quiet=quiet)
    return (), (), _ARGUS.exists()


def _program() -> tuple[str, ...]:
    """The program that runs now, by its absolute path."""
    called = Path(sys.argv[0]).absolute()
    for script in (called, Path(sys.executable).absolute().parent / "edgeresnet"):
        if script.name == "edgeresnet" and script.is_file():
            return (str(script),)
    return (sys.executable, "-m", "edgeresnet")


def _told(config: Path, user: str, name: str, *, gpu: bool) -> tuple[str, ...]:
    told = ["edgeresnet", "service", "--print"]
    told += ["--config", str(config)] if config != _DEFAULT else []
    told += ["--user", user] if user != "edgeresnet" else []
    told += ["--name", name] if name != "edgeresnet" else []
    return (*told, *(["--gpu"] if gpu else []))


def _groups() -> tuple[str, ...]:
    """Of cameras, and of graphics where there is one: systemd starts nothing in a group unknown."""
    import grp

    known = {group.gr_name for group in grp.getgrall()}
    return ("video", *({"render"} & known))


def _nodes() -> list[str]:
    tops = [top for names in ("nv*", "host1x-*") for top in Path("/dev").glob(names)]
    found = [path for top in tops for path in (top, *top.rglob("*"))]
    return sorted(str(path) for path in found if path.is_char_device())
