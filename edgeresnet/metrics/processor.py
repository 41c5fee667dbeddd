"""The processor's name and instruction sets, as Linux tells them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

INT8_INSTRUCTIONS = {
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_int8": "AMX-INT8",
    "asimddp": "dot product",
    "i8mm": "I8MM",
}
"""A flag of ``/proc/cpuinfo`` to the instructions that make INT8 pay."""


@dataclass(frozen=True)
class Processor:
    """One processor; ``flags`` is empty where the system does not tell them."""

    name: str
    flags: frozenset[str]

    @property
    def int8(self) -> tuple[str, ...]:
        """Names of the instructions that it has for INT8."""
        return tuple(title for flag, title in INT8_INSTRUCTIONS.items() if flag in self.flags)


def read_processor(host: Path = Path("/")) -> Processor:
    """Read ``proc/cpuinfo`` below ``host``; x86 and ARM name its lines differently."""
    try:
        text = (host / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or fields.get("Model")
    flags = fields.get("flags") or fields.get("Features") or ""
    return Processor(
        name or platform.processor() or platform.machine() or "unknown", frozenset(flags.split())
    )
