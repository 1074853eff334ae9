"""What a person sees in a terminal: log lines and progress bars on standard error, tables on standard output."""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_LINE_SECONDS = 5.0


def start_logging(*, quiet: bool) -> None:
    """Send the library's lines to standard error; warnings and errors only when quiet."""
    logger = logging.getLogger("coldframe")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class _Lines(logging.Formatter):
    """A clock and the message; what is not information says what it is."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"{clock}  {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class ProgressBars:
    """Long work, shown: bars in a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, bars: Progress | None, *, quiet: bool) -> None:
        self._bars, self._quiet = bars, quiet
        self._tasks: dict[str, Any] = {}
        self._last: dict[str, float] = {}

    def __call__(self, what: str, done: float) -> None:
        """Say that `what` is done to this share, 0 to 1."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=1.0)
            self._bars.update(self._tasks[what], completed=done)
        elif not self._quiet:
            now = time.monotonic()
            if done >= 1.0 or now - self._last.get(what, -_LINE_SECONDS) >= _LINE_SECONDS:
                self._last[what] = now
                logging.getLogger("coldframe").info("%s: %.0f%%", what, 100 * done)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[ProgressBars]:
    """Bars for as long as the block lasts."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield ProgressBars(None, quiet=quiet)
        return
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=False) as bars:
        yield ProgressBars(bars, quiet=quiet)


def show_plan(plan: Mapping[str, Any]) -> None:
    """A plan as a table: setting, value, reason."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("why")
    for name, value in plan.items():
        if name not in ("reasons", "memory"):
            table.add_row(name, _shown(name, value), plan["reasons"].get(name, ""))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def show_fields(fields: Mapping[str, Any]) -> None:
    """An outcome, one field a line."""
    console = Console()
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        console.print(f"{name:<{width}}  {_shown(name, value)}", highlight=False, markup=False, soft_wrap=True)


def show_checks(result: Mapping[str, Any]) -> None:
    """The doctor's findings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "check", "found", "what to do"):
        table.add_column(name)
    for check in result["checks"]:
        texts = (check["name"], check["detail"], check["advice"])
        table.add_row("ok" if check["ok"] else "NO", *(Text(text) for text in texts))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def show_text_sources(result: Mapping[str, Any]) -> None:
    """What lies in files, before they are read or after: a block each."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for source in result["sources"]:
        counts = {name: _shown(name, value) for name, value in source.items() if isinstance(value, int)}
        title = source.get("name") or source["path"]
        console.print(Text(f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.items()), style="bold"))
        for what, meaning in source["layouts"].items():
            files = f" ({_shown('files', meaning)} files)" if isinstance(meaning, int) else f": {meaning}"
            console.print(Text(f"  {what}{files}"))
        for place, reason in source.get("examples", []):
            console.print(Text(f"  set aside: {place}: {reason}"))
        for line in filter(None, (source.get("left_alone"), source.get("folder") and f"in {source['folder']}")):
            console.print(Text(f"  {line}"))


def show_drops(result: Mapping[str, Any]) -> None:
    """What the filters would drop, reason by reason, with an example of each to look at."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    total, kept = result["documents_in"], result["documents_kept"]
    console.print(
        Text(f"{total:,} documents, {kept:,} kept ({kept / max(1, total):.1%}), {result['quarantined']:,} set aside")
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("reason", "dropped", "share", "where", "how it begins"):
        table.add_column(name, justify="right" if name in ("dropped", "share") else "left", no_wrap=name != "where")
    for reason, count in sorted(result["dropped"].items(), key=lambda item: -item[1]):
        place, text = next(iter(result["examples"].get(reason, [])), ("", ""))
        begins = " ".join(text.split())[:70]
        table.add_row(reason, f"{count:,}", f"{count / max(1, total):.2%}", Text(place), Text(begins))
    if result["dropped"]:
        console.print(table)
    for folder in result["folders"]:
        console.print(Text(f"nothing is deleted: the verdicts stand in {folder}/attributes/filter.jsonl"))


def show_report(result: Mapping[str, Any]) -> None:
    """A line a source, then why documents were dropped, with something of each reason to look at."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ("source", "kind", "in", "out", "dropped", "share", "duplicates", "set aside", "MB", "tokens", "epochs")
    for name in names:
        table.add_column(name, justify="left" if name in ("source", "kind") else "right", no_wrap=True)
    for one in result["sources"]:
        gone = one["documents_in"] - one["documents_kept"]
        counts = (one["documents_in"], one["documents_kept"], gone)
        table.add_row(
            one["name"], one["kind"], *(f"{count:,}" for count in counts), f"{gone / max(1, counts[0]):.1%}",
            f"{one['duplicates']:,}", f"{one['quarantined']:,}", f"{one['bytes_kept'] / 1e6:,.2f}",
            _shown("tokens", one["tokens"]), _shown("epochs", one["epochs_planned"]),
        )  # fmt: skip
    console.print(table)
    for one in result["sources"]:
        for reason, examples in one["examples"].items():
            count = f" ({one['dropped'][reason]:,})" if reason in one["dropped"] else ""
            console.print(Text(f"\n{one['name']}: {reason}{count}"))
            for place, text in examples:
                console.print(Text(f"  {place}: {' '.join(text.split())[:100]}"))
    if result["page"]:
        console.print(Text(f"\nas a page: {result['page']} of the explorer (coldframe explore)"))


def show_duplicates(result: Mapping[str, Any]) -> None:
    """What is there twice, by pair of sources, with examples."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    counts = ("documents", "duplicates", "near_duplicates", "kept")
    console.print(Text(", ".join(f"{result[name]:,} {name.replace('_', ' ')}" for name in counts)))
    for pair in result["pairs"]:
        console.print(Text(f"  {pair['documents']:,} of {pair['dropped']} are in {pair['kept']}"))
    for place, other, likeness in result["examples"][:10]:
        console.print(Text(f"  {place} is {other} ({likeness:.0%})"))
    if result["evaluation"]:
        console.print(Text(f"{result['contaminated']:,} documents hold what the model will be measured on"))
    for one in result["evaluation"]:
        console.print(Text(f"  {one['set']}: {one['found']:,} of {one['pieces']:,} pieces found"))
    for place, piece, text in result["contamination_examples"]:
        console.print(Text(f"  {place} holds {piece}: {' '.join(text.split())[:100]}"))


def show_curation(result: Mapping[str, Any]) -> None:
    """A corpus from all sides, and what could be added to it."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    for folder, done in result["improved"].items():
        what = ", ".join(f"{name} {count:,}" for name, count in done["changes"].items())
        console.print(Text(f"{folder}: {done['changed']:,} of {done['documents']:,} texts in better form ({what})"))
    sample = result["sample"]
    console.print(Text(f"looked at {sample['documents']:,} passages, {sample['bytes'] / 1e6:,.1f} MB"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("source", "quality", "10-90%", "tokens", "natural", "proposed", "within", "epochs"):
        table.add_column(name, justify="left" if name == "source" else "right", no_wrap=True)
    for line in result["balance"]:
        quality = result["quality"][line["source"]]
        table.add_row(
            line["source"], f"{quality['median']:.0f}", f"{quality['low']:.0f}-{quality['high']:.0f}",
            f"{line['tokens']:,}", f"{line['natural']:.1%}", f"{line['proposed']:.1%}",
            f"{line['low']:.1%}-{line['high']:.1%}", _shown("epochs", line["epochs"]),
        )  # fmt: skip
    console.print(table)
    console.print(Text(f"\n{len(result['topics'])} topics, as varied as {result['effective_topics']:.1f} equal ones"))
    for topic in result["topics"]:
        mainly = ", ".join(f"{name} {part:.0%}" for name, part in list(topic["by_source"].items())[:3])
        console.print(Text(f"  {topic['share']:6.1%}  {', '.join(topic['words'])} ({mainly})"))
    _show_styles(console, result["styles"])
    for gap in result["gaps"]:
        console.print(Text(f"gap: {gap['gap']}: {gap['found']:g}, should be {gap['wanted']:g}"))
    for one in result["proposals"]:
        epochs = f", all of it then read {one['epochs']:g} times" if one["epochs"] else ""
        known = "" if one["measured"] else " (known by name, not measured)"
        console.print(Text(f"{one['number']}. add {one['name']} ({one['kind']}, {one['path']}){known}: "
                           f"about {one['tokens']:,} tokens{epochs}"))  # fmt: skip
        console.print(Text(f"   fills: {one['fills']}"))
    if result["page"]:
        console.print(Text(f"coldframe explore shows it at {result['page']}"))
    for name in result["accepted"]:
        console.print(Text(f"{name} stands in the recipe"))


def _show_styles(console: Console, styles: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in styles[0]:
        table.add_column(name.replace("_", " "), justify="left" if name == "source" else "right")
    for line in styles:
        table.add_row(*(value if isinstance(value, str) else f"{value:g}" for value in line.values()))
    console.print(table)


def show_advice(result: Mapping[str, Any]) -> None:
    """What each size of vocabulary gains and costs, a line each, and the advice under them."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(Text(f"depth {result['depth']}, {result['tokens']:,} training tokens"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    sources = list(result["sizes"][0]["bytes_per_token"])
    shown = sources if 1 < len(sources) <= 5 else []
    heads = ("bytes/token", *shown, "tables", "parameters", "operations/byte", "over least", "seen seldom")
    for name in ("tokens", *heads):
        table.add_column(name, justify="right")
    for size in result["sizes"]:
        table.add_row(
            f"{size['vocab_size']:,}", f"{size['mean_bytes_per_token']:.2f}",
            *(f"{size['bytes_per_token'][name]:.2f}" for name in shown),
            f"{size['table_parameters'] / 1e6:,.1f}M", f"{size['parameters'] / 1e6:,.1f}M",
            f"{size['operations_per_byte'] / 1e6:,.2f}M", f"{size['cost'] - 1:+.0%}", f"{size['seldom']:.0%}",
        )  # fmt: skip
    console.print(table)
    console.print(Text(f"advice: {result['recommended']:,}: {result['reason']}"))
    console.print(Text(result["beside_the_plan"]))


def show_dialogue(result: Mapping[str, Any]) -> None:
    """How much talk books hold, and some of it to look at."""
    lists = ("set_aside", "examples")
    show_fields({name: value for name, value in result.items() if name not in lists})
    console = Console(width=None if sys.stdout.isatty() else 160)
    for place, reason in result["set_aside"]:
        console.print(Text(f"set aside: {place}: {reason}"))
    for example in result["examples"]:
        console.print(Text(f"\nfrom {example['source']}:"))
        for message, mark in zip(example["messages"][:6], itertools.cycle(("- ", "  - "))):
            console.print(Text(mark + message["content"]))


def show_scenes(result: Mapping[str, Any]) -> None:
    """What a teacher wrote and what it cost, with two documents to look at."""
    show_fields({name: value for name, value in result.items() if name != "examples"})
    console = Console(width=None if sys.stdout.isatty() else 160)
    for example in result["examples"]:
        console.print(Text(f"\n{example['place']}"))
        turns = list(example["turns"][:6])
        if "original" in example:
            turns[0] = f"{example['original']}  ->  {turns[0]}"
        for turn, mark in zip(turns, itertools.cycle(("- ", "  - "))):
            console.print(Text(mark + turn))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "  ".join(f"{key} {_shown(key, part)}" for key, part in value.items())
    return str(value)
