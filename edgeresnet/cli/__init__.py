"""The command line: one module a command, imported when it is called for."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from edgeresnet import __version__
from edgeresnet.core.errors import DeviceError, EdgeError, MissingBackendError, UsageError
from edgeresnet.core.progress import BUILDER
from edgeresnet.core.secrets import redact

COMMANDS = {
    "convert": "trained weights to a contract graph (ONNX), proved equal",
    "quantize": "a graph to INT8 inside an accuracy budget",
    "compile": "a graph to a bundle for one device",
    "run": "stream frames through a bundle",
    "evaluate": "how right: top-1, top-5, agreement, with intervals",
    "benchmark": "how fast: engine alone and end to end",
    "deploy": "convert, quantize and compile in one; --to: on to a device",
    "demo": "the whole way on the embedded sample network",
    "inspect": "what a checkpoint, graph or bundle holds",
    "targets": "list the device profiles, or show one",
    "fetch": "download official weights, digests checked",
    "service": "print a systemd unit for a run configuration",
    "doctor": "what this machine can do, and what is missing",
}
"""Command to its line of help; the module ``edgeresnet.cli.<command>`` has ``command``."""
EXTRAS = {
    "faster_coco_eval": "evaluate",
    "onnx": "quantize",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "safetensors": "convert",
    "torch": "convert",
}
"""A package that is not in the base, to the extra that installs it."""
_READER_LEFT = 141
"""Exit code when the reader of our standard output, ``head`` say, had enough: as of any program."""


class _Commands(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"edgeresnet.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from edgeresnet.core.schema import nearest

            hint = nearest(args[0], COMMANDS)
            raise UsageError(f"no command named {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # left to click it would be exit code 1, which means a bug
            ctx.exit(_READER_LEFT)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: edgeresnet demo",
)
@click.version_option(__version__, prog_name="edgeresnet")
def cli() -> None:
    """Take a trained ResNet to INT8 on an edge device, every step proved."""


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911  a code for each family
    """Run one command and return its exit code. The only place that catches ``EdgeError``."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    debug = "--debug" in arguments
    _end_on_sigterm()
    _log_to_stderr()
    try:
        code = cli.main(arguments, prog_name="edgeresnet", standalone_mode=False)
        sys.stdout.flush()
    except EdgeError as error:
        if debug:
            click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
        _report(error, as_json="--json" in arguments)
        return error.exit_code
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        _report(_advice(error), as_json="--json" in arguments)
        return UsageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("error: interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_LEFT
    except MemoryError:
        memory = DeviceError("out of memory", hint="a smaller --batch or --size")
        _report(memory, as_json="--json" in arguments)
        return memory.exit_code
    except Exception as error:  # noqa: BLE001  a bug, or a package that is not here
        return _unexpected(error, arguments)
    return code if isinstance(code, int) else 0  # a command that called Context.exit


def entry() -> None:
    """The console script: :func:`main`, and the end of the process with its exit code."""
    code = main()
    if any(thread.name == BUILDER for thread in threading.enumerate()):
        # a vendor's compiler is at work in it: an interpreter that is torn down under it aborts
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _unexpected(error: Exception, arguments: list[str]) -> int:
    """A package that one of our extras brings, or a bug: then its traceback is what helps."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in EXTRAS and "--debug" not in arguments:
        what = f"{arguments[0]} needs the package {package}, which is not installed"
        hint = f"pip install 'edgeresnet[{EXTRAS[package]}]'"
        _report(MissingBackendError(what, hint=hint), as_json="--json" in arguments)
        return MissingBackendError.exit_code
    click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
    click.echo(f"edgeresnet {__version__}: this is a bug, please report it", err=True)
    return 1


def _end_on_sigterm() -> None:
    """SIGTERM unwinds as Ctrl-C does, so that nothing half-written stays; ``run`` has its own."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


class _ToStderr(logging.Handler):
    """Log lines where a person looks, without secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(redact(self.format(record)), err=True)


def _log_to_stderr() -> None:
    logger = logging.getLogger("edgeresnet")
    if not logger.handlers:
        logger.addHandler(_ToStderr())


def _advice(error: click.ClickException) -> UsageError:
    """Click's errors in our two lines."""
    hint = ""
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        from difflib import get_close_matches

        close = get_close_matches(error.option_name, error.possibilities, n=1, cutoff=0)
        hint = f"did you mean {close[0]!r}?"
        what = f"no option named {error.option_name!r}"
    elif isinstance(error, click.UsageError):
        what = error.format_message().rstrip(".")
        what = what[:1].lower() + what[1:]
        if error.ctx is not None:
            hint = f"see {error.ctx.command_path} --help"
    else:
        what = error.format_message()
    return UsageError(what, hint=hint)


def _report(error: EdgeError, *, as_json: bool) -> None:
    click.echo(redact(f"error: {error}"), err=True)
    if as_json:
        import json

        detail = {
            "code": error.exit_code,
            "kind": type(error).__name__,
            "what": redact(error.what),
            "hint": redact(error.hint),
        }
        click.echo(json.dumps({"error": detail}))
