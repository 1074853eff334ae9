"""Marked-up text as plain text: HTML and XHTML, EPUB, Markdown and reStructuredText."""

from __future__ import annotations

import posixpath
import re
import urllib.parse
import zipfile
from collections import Counter
from xml.etree import ElementTree

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from coldframe.corpus.documents import clean_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w\"'-]+[ \t]*:|---).*?\n(?:---|\.\.\.)\n", re.DOTALL)
_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
_BARE_IMAGE = re.compile(r"^[ \t]*(?:\[?!\[[^\]\n]*\]\([^)\n]*\)(?:\]\([^)\n]*\))?[ \t]*)+$\n?", re.MULTILINE)
_STANDARD = re.compile(r":(?P<name>pep|rfc):`(?P<number>\d+)`")
_ROLE = re.compile(r":[a-zA-Z][\w:+.-]{0,40}:`(?P<shown>[^`<]+)(?:<[^`>]*>)?`")
_LINK = re.compile(r"`(?P<shown>[^`<]+)<[^`>]+>`__?")
_SILENT = re.compile(
    r"^(?P<indent>[ \t]*)\.\. (?:_[^\n]*|\[[^\]\n]*\][^\n]*|(?:index|module|currentmodule|contents|toctree|"
    r"highlight|sectionauthor|moduleauthor|audit-event|audit-event-table|only|include|image|figure|raw|testsetup|"
    r"testcleanup|tabularcolumns|meta|role|default-role|program)::[^\n]*|"
    r"(?![\w.:+-]+::)[^\n]*)\n(?:(?P=indent)[ \t]+\S[^\n]*\n|[ \t]*\n(?=(?P=indent)[ \t]+\S))*",
    re.MULTILINE,
)
_SHOWN = re.compile(
    r"^(?P<indent>[ \t]*)\.\. (?P<name>[\w.:+-]+)::[ \t]*(?P<rest>[^\n]*)"
    r"(?:\n(?P=indent)[ \t]+:[a-zA-Z][\w-]*:(?!`)[^\n]*)*$",  # its options
    re.MULTILINE,
)
_ADMONITIONS = {"note", "warning", "tip", "hint", "important", "caution", "danger", "attention", "seealso",
                "deprecated", "versionadded", "versionchanged", "todo", "impl-detail",
                "availability"}  # fmt: skip
_PARAGRAPH = re.compile(
    r"\A\s*<(?:p|div|h[1-6]|ul|ol|br|strong|em|b|i|span)\b[^>]*>|</p>|<br ?/?>.*<br ?/?>", re.IGNORECASE
)
_CLOSED = re.compile(
    r"<((title|script|style|textarea|iframe|noscript|select|object|video|audio|canvas|a|p|div|span|h[1-6]|i|b|em|strong|"
    r"li|td|th|table)(?:\s[^<>]{0,1000})?)/>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)(?!(?:p|li|td|tr|th|dt|dd|br|hr|img|meta|link|input|wbr)\b)([a-zA-Z]\w{0,20})")
"""Where an element begins or ends that others may stand in, one within the other."""
_DEEPEST = 1000
_EMPTY_LINES = re.compile(r"\n{3,}")
_CONTAINER = "META-INF/container.xml"
_PACKAGE = 1 << 24
_OPF = "{http://www.idpf.org/2007/opf}"


def html_text(source: str) -> str:
    """What a page says: its title, then its main content, without menus, scripts and forms."""
    tree = _parsed(source)
    is_plain = _depth(source) > _DEEPEST  # to find the main content takes the square of the depth
    text = "" if is_plain else extract_plain_text(tree, main_content=True, alt_texts=False)
    if len(text) < 200:  # no main content was found: all of it
        text = extract_plain_text(tree, main_content=False, alt_texts=False)
    title = clean_text(tree.title or "").strip()
    text = clean_text(text).strip()
    return f"{title}\n\n{text}" if title and not text.startswith(title) else text


def _depth(source: str) -> int:
    """How deep the elements of a page may stand within each other, at most."""
    if source.count("<") <= _DEEPEST:
        return 0
    opened, depth, deepest = Counter[str](), 0, 0
    for end, name in _TAG.findall(source):
        if not end:
            opened[name] += 1
            depth += 1
            deepest = max(deepest, depth)
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    return deepest


def _parsed(source: str) -> HTMLTree:
    """A page as a tree. XHTML may close an element in its beginning, which HTML does not know: `<title/>` would swallow
    all that follows."""
    return HTMLTree.parse(_CLOSED.sub(r"<\1></\2>", source))


def without_tags(text: str) -> str:
    """A field's text without the HTML that it is written in, if it is."""
    if not _PARAGRAPH.search(text):
        return text
    return clean_text(extract_plain_text(text, main_content=False, alt_texts=False)).strip()


def markdown_text(source: str) -> str:
    """Markdown as it stands, without front matter, comments and lines that hold only images."""
    text = _FRONT_MATTER.sub("", source.lstrip("\n"))
    return _EMPTY_LINES.sub("\n\n", _BARE_IMAGE.sub("", _COMMENT.sub("", text))).strip() + "\n"


def rst_text(source: str) -> str:
    """reStructuredText without what is there for machines: labels, comments, directives that show nothing, options;
    roles and links as the words that they show."""
    text = _SILENT.sub("", source + "\n")
    text = _SHOWN.sub(_directive, text)
    text = _STANDARD.sub(lambda match: f"{match['name'].upper()} {match['number']}", text)
    text = _ROLE.sub(_shown, text)
    text = _LINK.sub(_shown, text)
    return _EMPTY_LINES.sub("\n\n", text).strip() + "\n"


def _directive(match: re.Match[str]) -> str:
    name, rest = match["name"].rpartition(":")[2], match["rest"]
    if name in _ADMONITIONS:
        name = {"seealso": "See also", "versionadded": "Added in version", "versionchanged": "Changed in version",
                "deprecated": "Deprecated since version"}.get(name, name.capitalize())  # fmt: skip
        return f"{match['indent']}{name}{'' if 'version' in name else ':'} {rest}".rstrip()
    return f"{match['indent']}{rest}" if name not in ("code-block", "sourcecode", "code", "doctest", "math") else ""


def _shown(match: re.Match[str]) -> str:
    shown = match["shown"].strip()
    return shown.rpartition(".")[2] if shown.startswith("~") else shown.lstrip("!")


def epub_parts(archive: zipfile.ZipFile) -> list[str]:
    """The names of a book's parts in the order in which they are read (EPUB 3.3, the package's spine).

    Raises:
        ValueError: when it does not say what its parts are.
    """
    try:
        container = ElementTree.fromstring(_small(archive, _CONTAINER))
        package_path = next(node.attrib["full-path"] for node in container.iter() if node.tag.endswith("rootfile"))
        package = ElementTree.fromstring(_small(archive, package_path))
        items = {node.attrib["id"]: node.attrib for node in package.iter(f"{_OPF}item")}
        spine = [items[node.attrib["idref"]] for node in package.iter(f"{_OPF}itemref")]
        paths = [
            urllib.parse.unquote(item["href"])
            for item in spine
            if "nav" not in item.get("properties", "").split() and "html" in item.get("media-type", "html")
        ]
    except (LookupError, StopIteration, ElementTree.ParseError) as error:
        raise ValueError(f"does not say what its parts are: {error or 'no package'}") from error
    return [posixpath.normpath(posixpath.join(posixpath.dirname(package_path), path)) for path in paths]


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if member.file_size > _PACKAGE:
        raise ValueError(f"{name} is larger than {_PACKAGE >> 20} MB")
    return archive.read(member)


def part_text(source: str) -> str:
    """What a part of a book says."""
    return clean_text(extract_plain_text(_parsed(source), main_content=False, alt_texts=False)).strip()
