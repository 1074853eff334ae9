"""The command line: one table of verbs; what they do stands where the table points.

Standard output carries results (with --json, one object on the last line); everything else goes to standard error.
Exit status: 0 done or stopped, 1 failed, 2 wrong usage, 3 halted or paused by a gate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import itertools
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coldframe.errors import ColdframeError, MemoryFitError, UsageError, did_you_mean, of_the_system
from coldframe.threads import share_the_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Where a verb's settings and function stand ("module:name"), and how its result is shown."""

    settings: str
    function: str
    does: str
    show: str = "show_fields"
    progress: bool = False


_TRAIN = "coldframe.train.verbs"
_CORPUS = "coldframe.corpus.verbs"
VERBS: dict[str, Verb] = {
    "plan": Verb(
        settings=f"{_TRAIN}:PlanVerb",
        function=f"{_TRAIN}:plan_run",
        show="show_plan",
        does="what would happen, why, and whether it fits",
    ),
    "train": Verb(
        settings=f"{_TRAIN}:TrainVerb",
        function="coldframe.beside:train_and_explore",
        progress=True,
        does="start a run, or resume it where it was",
    ),
    "explore": Verb(
        settings="coldframe.explore.settings:ExploreSettings",
        function="coldframe.beside:explore",
        show="",
        does="the web page and API over all runs",
    ),
    "chat": Verb(
        settings="coldframe.generate.chat:ChatSettings",
        function="coldframe.beside:chat",
        show="",
        does="talk to a run, also while it trains",
    ),
    "pause": Verb(settings=f"{_TRAIN}:SteerVerb", function=f"{_TRAIN}:pause", does="checkpoint, free the memory, wait"),
    "resume": Verb(
        settings=f"{_TRAIN}:SteerVerb", function=f"{_TRAIN}:resume", does="wake a paused run, or start a dead one"
    ),
    "checkpoint": Verb(
        settings=f"{_TRAIN}:SteerVerb", function=f"{_TRAIN}:checkpoint", does="checkpoint at the next step"
    ),
    "stop": Verb(settings=f"{_TRAIN}:SteerVerb", function=f"{_TRAIN}:stop", does="checkpoint, then leave"),
    "extend": Verb(settings=f"{_TRAIN}:ExtendVerb", function=f"{_TRAIN}:extend", does="lengthen a schedule"),
    "corpus sources": Verb(
        settings=f"{_CORPUS}:CorpusSources",
        function=f"{_CORPUS}:look_at_sources",
        show="show_text_sources",
        does="look at text before it is read",
    ),
    "corpus ingest": Verb(
        settings=f"{_CORPUS}:CorpusIngest",
        function=f"{_CORPUS}:ingest_inputs",
        show="show_text_sources",
        progress=True,
        does="read text of any kind into folders of documents",
    ),
    "corpus filter": Verb(
        settings=f"{_CORPUS}:CorpusFilter",
        function=f"{_CORPUS}:filter_inputs",
        show="show_drops",
        progress=True,
        does="what is no good text, and why; nothing is deleted",
    ),
    "corpus dedup": Verb(
        settings=f"{_CORPUS}:CorpusDedup",
        function=f"{_CORPUS}:dedup_folders",
        show="show_duplicates",
        progress=True,
        does="what is there twice, within sources and across them",
    ),
    "corpus curate": Verb(
        settings=f"{_CORPUS}:CorpusCurate",
        function=f"{_CORPUS}:curate_corpus",
        show="show_curation",
        progress=True,
        does="quality, topics, styles, balance, and what to add",
    ),
    "corpus dialogue": Verb(
        settings=f"{_CORPUS}:CorpusDialogue",
        function=f"{_CORPUS}:extract_dialogue",
        show="show_dialogue",
        progress=True,
        does="the conversations in novels and plays",
    ),
    "corpus scenes": Verb(
        settings="coldframe.corpus.teacher.verbs:CorpusScenes",
        function="coldframe.corpus.teacher.verbs:write_scenes",
        show="show_scenes",
        progress=True,
        does="scenes and modern questions from a teacher model, within a budget",
    ),
    "corpus report": Verb(
        settings="coldframe.tokens.verbs:CorpusReport",
        function="coldframe.tokens.verbs:report_corpus",
        show="show_report",
        progress=True,
        does="what became of every source, by reason",
    ),
    "tokenizer train": Verb(
        settings="coldframe.tokens.verbs:TokenizerTrain",
        function="coldframe.tokens.verbs:train_tokenizer",
        progress=True,
        does="train a tokenizer on text",
    ),
    "tokenizer eval": Verb(
        settings="coldframe.tokens.verbs:TokenizerEval",
        function="coldframe.tokens.verbs:evaluate_tokenizer",
        progress=True,
        does="bytes per token, by source",
    ),
    "tokenizer advise": Verb(
        settings="coldframe.tokens.verbs:TokenizerAdvise",
        function="coldframe.tokens.verbs:advise_vocabulary",
        show="show_advice",
        progress=True,
        does="how large a vocabulary should be",
    ),
    "doctor": Verb(
        settings="coldframe.doctor:DoctorVerb",
        function="coldframe.doctor:examine",
        show="show_checks",
        does="what this machine can do, what is missing, what to type",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit status."""
    share_the_cores()
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        return _run(words)
    except ColdframeError as error:
        _report(error, as_json)
        return error.exit_status
    except BrokenPipeError:  # whoever read the output went away
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (kept open for the interpreter's last flush)
        return 1
    except KeyboardInterrupt:
        if as_json:
            said = {"kind": "Interrupted", "message": "interrupted", "advice": "nothing is lost; type it again"}
            print(json.dumps({"error": said}), flush=True)
        print("interrupted", file=sys.stderr)
        return 130
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "can't start new thread" not in str(error):
            raise
        said = f"the system gives no more memory or threads: {error}"
        _report(MemoryFitError(said, advice="choose a smaller depth or context; ulimit -a lists the limits"), as_json)
        return 1
    except (OSError, sqlite3.DatabaseError) as error:
        logging.getLogger("coldframe").debug("where it happened", exc_info=True)
        _report(of_the_system(error), as_json)
        return 1


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from coldframe import __version__

        print(f"coldframe {__version__}")
        return 0
    name, rest = _find(words)
    verb = VERBS[name]
    settings = parse(name, rest)
    from coldframe import console

    quiet = bool(getattr(settings, "quiet", False))
    console.start_logging(quiet=quiet)
    function = load(verb.function)
    if verb.progress:
        with console.progress_bars(quiet=quiet) as progress:
            result = function(settings, progress)
    else:
        result = function(settings)
    if result is None:
        return 0
    if getattr(settings, "json", False):
        print(json.dumps(result), flush=True)
    elif verb.show:
        getattr(console, verb.show)(result)
    return _exit_status(result)


def parse(name: str, words: Sequence[str]) -> Any:
    """A verb's settings from its flags.

    Raises:
        UsageError: for flags that make no sense, in one line instead of tyro's box.
    """
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                load(VERBS[name].settings),
                prog=f"coldframe {name}",
                args=list(words),
                description=VERBS[name].does,
                config=(tyro.conf.UseAppendAction,),
            )
    except SystemExit as leaving:
        if not leaving.code:  # --help was shown
            raise
        raise _usage_error(name, said.getvalue()) from None


def _usage_error(name: str, box: str) -> UsageError:
    """What stands in tyro's box between its title and its next rule; in ASCII, the box has no sides."""
    lines = [line for line in (line.strip(" │") for line in box.splitlines()[1:]) if line]
    parts = [list(part) for rule, part in itertools.groupby(lines, lambda line: not line.strip("─-╭╮╰╯")) if not rule]
    wrong = " ".join(parts[0]).split(" Got errors:")[0].rstrip(".") if parts else f"{name} was given wrong flags"
    meant = [one[0].split()[0] for one in (part[1:] for part in parts if part[0] == "Perhaps you meant:") if one]
    hint = f"did you mean {meant[0]}? " if meant else ""
    return UsageError(wrong, advice=f"{hint}coldframe {name} --help lists the flags")


def load(place: str) -> Any:
    """What stands at "module:name"; imported only now, so that a verb pays for nothing but itself."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _find(words: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in VERBS:
            return name, words[length:]
    deeper = [name for name in VERBS if name.startswith(f"{words[0]} ")]
    if deeper:
        raise UsageError(f"coldframe {words[0]} needs one more word", advice="one of: " + ", ".join(deeper))
    raise UsageError(f"coldframe has no verb {words[0]!r}", advice=did_you_mean(words[0], VERBS))


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = [f"  coldframe {name:<{width}}  {verb.does}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "coldframe: train a small chat model on your own hardware, under glass",
            "",
            *lines,
            "",
            "coldframe VERB --help lists a verb's flags",
        ]
    )


def _report(error: ColdframeError, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.as_dict()}), flush=True)
    print(f"coldframe: {error}", file=sys.stderr)


def _exit_status(result: dict[str, Any]) -> int:
    if result.get("status") in ("paused", "halted"):
        return 3
    return 1 if result.get("outcome") == "refused" or result.get("ok") is False else 0


def flags() -> dict[str, list[str]]:
    """Every verb's flags; a test freezes them."""
    return {name: sorted(item.name for item in dataclasses.fields(load(verb.settings))) for name, verb in VERBS.items()}
