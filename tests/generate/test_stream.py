"""Text from bytes that come in any pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from coldframe.generate.stream import TextStream


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def streamed(data: bytes, cuts: list[int], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    stream = TextStream(stop)
    out = [stream.push(piece) for piece in pieces(data, cuts)]
    return [*out, stream.finish()], stream.stopped


TEXTS = some.text(alphabet="ab«蛙é🐸 \n", max_size=30)
CUTS = some.lists(some.integers(0, 200), max_size=40)


@given(TEXTS, CUTS)
def test_no_character_is_ever_broken(text, cuts):
    out, _ = streamed(text.encode(), cuts)
    assert "".join(out) == text and "\ufffd" not in "".join(out)


@given(some.binary(max_size=30), CUTS)
def test_invalid_bytes_come_out_as_when_decoded_at_once(data, cuts):
    assert "".join(streamed(data, cuts)[0]) == data.decode("utf-8", "replace")


def test_half_a_character_is_held_until_the_end():
    stream = TextStream()
    assert stream.push("a蛙".encode()[:3]) == "a"
    assert stream.push(b"") == ""
    assert stream.finish() == "\ufffd"


@given(TEXTS, CUTS, some.lists(some.text(alphabet="ab«蛙", min_size=1, max_size=4), max_size=3))
def test_a_stop_text_ends_the_stream_and_no_part_of_it_is_shown(text, cuts, stops):
    out, stopped = streamed(text.encode(), cuts, tuple(stops))
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    assert stopped == bool(ends)
    assert "".join(out) == (text[: min(ends)[1]] if ends else text)


@given(TEXTS, CUTS)
def test_what_was_shown_is_never_taken_back(text, cuts):
    shown = ""
    for piece in streamed(text.encode(), cuts, ("ab«",))[0]:
        shown += piece
        assert text.startswith(shown)


def test_what_only_looked_like_a_stop_comes_out_when_it_turns_out_otherwise():
    stream = TextStream(("User:",))
    assert stream.push(b"so Use") == "so "
    assert stream.push(b"r") == ""
    assert stream.push(b" first") == "User first"
