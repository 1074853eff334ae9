"""The chat template, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.messages import Message
from coldframe.errors import TokenizerError, UsageError
from coldframe.tokens.chat import parse, render, render_prompt

TALK = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="What is 2+2? <|end|>"),
    Message(role="assistant", content="Let me see.", call="2+2"),
    Message(role="tool", content="4"),
    Message(role="assistant", content=" It is 4."),
    Message(role="user", content="Thanks"),
)


def spelled(ids, tokenizer):
    return tokenizer.decode(ids)


def test_how_it_reads(tokenizer):
    ids, _ = render(TALK, tokenizer)
    assert spelled(ids, tokenizer) == (
        "<|bos|><|system|>Be brief.<|end|><|user|>What is 2+2? <|end|><|end|><|assistant|>Let me see."
        "<|call|>2+2<|result|>4<|done|> It is 4.<|end|><|user|>Thanks<|end|>"
    )


def test_the_mask_is_what_the_assistant_says(tokenizer):
    ids, mask = render(TALK, tokenizer)
    assert len(ids) == len(mask)
    said = [token for token, counts in zip(ids, mask, strict=True) if counts]
    assert spelled(said, tokenizer) == "Let me see.<|call|>2+2<|result|> It is 4.<|end|>"


def test_prompts(tokenizer):
    assert spelled(render_prompt(TALK, tokenizer), tokenizer).endswith("<|user|>Thanks<|end|><|assistant|>")
    assert spelled(render_prompt(TALK[:5], tokenizer), tokenizer).endswith(" It is 4.")
    assert spelled(render_prompt(TALK[:4], tokenizer), tokenizer).endswith("4<|done|>")
    assert spelled(render_prompt(TALK[:3], tokenizer), tokenizer).endswith("2+2<|result|>")
    assert render_prompt([{"role": "user", "content": "hi"}], tokenizer)[0] == tokenizer.bos


@st.composite
def conversations(draw):
    text = st.text(max_size=20) | st.sampled_from(["<|end|>", "<|call|>x<|result|>", "plain words."])
    messages = [Message(role="system", content=draw(text))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", content=draw(text)))
        for _ in range(draw(st.integers(0, 2))):
            messages.append(Message(role="assistant", content=draw(text), call=draw(text)))
            messages.append(Message(role="tool", content=draw(text)))
        messages.append(Message(role="assistant", content=draw(text)))
    return tuple(messages)


@given(messages=conversations())
def test_parsing_gives_back_what_was_rendered(tokenizer, messages):
    ids, mask = render(messages, tokenizer)
    assert parse(ids, tokenizer) == messages
    assert mask.count(1) > 0


def test_an_unfinished_turn_counts_as_far_as_it_goes(tokenizer):
    ids, _ = render(TALK[:2], tokenizer)
    ids = [*ids, tokenizer.specials["<|assistant|>"], *tokenizer.encode("Let")]
    assert parse(ids, tokenizer) == (*TALK[:2], Message(role="assistant", content="Let"))
    assert parse([*ids, tokenizer.specials["<|call|>"], *tokenizer.encode("2+")], tokenizer)[-1].call == "2+"


@pytest.mark.parametrize(
    "names",
    [
        ["<|end|>"],
        ["<|user|>", "<|assistant|>"],
        ["<|user|>", "<|call|>"],
        ["<|assistant|>", "<|result|>"],
        ["<|assistant|>", "<|call|>", "<|end|>"],
        ["<|user|>", "<|bos|>"],
    ],
)
def test_tokens_that_are_no_conversation(tokenizer, names):
    with pytest.raises(TokenizerError):
        parse([tokenizer.bos, *(tokenizer.specials[name] for name in names)], tokenizer)


def test_text_outside_any_turn(tokenizer):
    with pytest.raises(TokenizerError, match="outside any turn"):
        parse([tokenizer.bos, *tokenizer.encode("a document")], tokenizer)
    with pytest.raises(TokenizerError):
        parse([*tokenizer.encode("text"), tokenizer.specials["<|user|>"]], tokenizer)


def test_messages_out_of_order(tokenizer):
    with pytest.raises(UsageError):
        render([{"role": "tool", "content": "4"}], tokenizer)
