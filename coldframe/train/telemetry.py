"""The hardware beside the metrics: a heartbeat from a thread, so that a long step is not taken for death."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil
import torch

from coldframe.errors import DiskFullError
from coldframe.run.record import Recorder, Telemetry

EVERY_SECONDS = 5.0
_RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
_log = logging.getLogger("coldframe")


class Heartbeat:
    """Writes that the trainer lives, what it is doing, and what the hardware says. `status` is set by the loop."""

    def __init__(
        self,
        recorder: Recorder,
        device: torch.device,
        *,
        flops_per_token: int,
        peak_flops: float | None,
        energy_joules: float = 0.0,
    ) -> None:
        self.status, self.message = "preparing", ""
        self.tokens_per_second: float | None = None
        self.energy_joules = energy_joules
        self.peak_memory_bytes = 0
        self._recorder, self._device = recorder, device
        self._flops_per_token, self._peak_flops = flops_per_token, peak_flops
        self._process = psutil.Process()
        self._meter = _Meter(device)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coldframe-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._process.cpu_percent()
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.beat()

    def say(self, status: str, message: str = "") -> None:
        """Change what the run is doing, and write it at once."""
        self.status, self.message = status, message
        self.beat()

    def beat(self) -> None:
        """Write one heartbeat."""
        self._recorder.heartbeat(self.status, self.message, self._measure())

    def _run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            try:
                self.beat()
            except (DiskFullError, sqlite3.Error):  # the loop meets the same trouble and reports it
                _log.warning("no heartbeat could be written")

    def _measure(self) -> Telemetry:
        resident = self._process.memory_info().rss
        reading = self._meter.read()
        if reading.energy_joules is not None:
            self.energy_joules += reading.energy_joules
        cuda = self._device.type == "cuda"
        self.peak_memory_bytes = max(
            self.peak_memory_bytes, torch.cuda.max_memory_reserved(self._device) if cuda else resident
        )
        mfu = None
        if self.tokens_per_second is not None and self._peak_flops:
            mfu = self.tokens_per_second * self._flops_per_token / self._peak_flops
        return Telemetry(
            memory_bytes=resident,
            device_memory_bytes=torch.cuda.memory_reserved(self._device) if cuda else None,
            utilisation=reading.utilisation if cuda else self._process.cpu_percent() / (100 * (os.cpu_count() or 1)),
            temperature=reading.temperature,
            power_watts=reading.power_watts,
            energy_joules=self.energy_joules if reading.energy_joules is not None else None,
            mfu=mfu,
        )


class _Reading:
    """What a meter says; None is "not measured"."""

    __slots__ = ("energy_joules", "power_watts", "temperature", "utilisation")

    def __init__(self) -> None:
        self.utilisation: float | None = None
        self.temperature: float | None = None
        self.power_watts: float | None = None
        self.energy_joules: float | None = None


class _Meter:
    """Reads a GPU through NVML (as torch offers it), a CPU through what Linux shows."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = time.monotonic()
        self._last_rapl = _read_number(_RAPL)

    def read(self) -> _Reading:
        reading, now = _Reading(), time.monotonic()
        if self._device.type == "cuda":
            self._read_gpu(reading, now - self._last)
        else:
            self._read_cpu(reading, now - self._last)
        self._last = now
        return reading

    def _read_gpu(self, reading: _Reading, seconds: float) -> None:
        utilisation = _asked(torch.cuda.utilization, self._device)
        reading.utilisation = utilisation / 100 if utilisation is not None else None
        reading.temperature = _asked(torch.cuda.temperature, self._device)
        milliwatts = _asked(torch.cuda.power_draw, self._device)
        if milliwatts is not None:
            reading.power_watts = milliwatts / 1000
            reading.energy_joules = reading.power_watts * seconds

    def _read_cpu(self, reading: _Reading, seconds: float) -> None:
        rapl = _read_number(_RAPL)
        if rapl is not None and self._last_rapl is not None and rapl >= self._last_rapl:  # the counter wraps around
            reading.energy_joules = (rapl - self._last_rapl) / 1e6
            reading.power_watts = reading.energy_joules / max(seconds, 1e-3)
        self._last_rapl = rapl
        temperatures = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        readings = [sensor.current for sensors in temperatures.values() for sensor in sensors]
        reading.temperature = max(readings) if readings else None


def _asked(question: Callable[[torch.device], float], device: torch.device) -> float | None:
    """What NVML says. A card may know one thing and not another, and its package (optional) has errors of its own."""
    try:
        return float(question(device))
    except Exception as error:  # noqa: BLE001 (pynvml's derive from it, and pynvml need not be there to name them)
        _log.debug("%s is not measured: %s", question.__name__, error)
        return None


def _read_number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
