"""The chat template: a conversation as tokens, with the mask that says which of them the assistant has to produce.

    <|bos|> <|system|> text <|end|> <|user|> text <|end|>
    <|assistant|> text <|call|> call <|result|> answer <|done|> text <|end|>

The assistant says everything after its role token, `<|result|>` and `<|end|>` included; a tool's answer and its
`<|done|>` are put there for it. A tool call does not end the turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coldframe.corpus.messages import Message, conversation
from coldframe.errors import TokenizerError
from coldframe.tokens.tokenizer import Tokenizer


def render(messages: Sequence[Message | Mapping[str, object]], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """(ids, mask): the conversation's tokens, and 1 for each one that the assistant says.

    A conversation that ends in a call or in a tool's answer stays open: its turn has no `<|end|>` yet.
    Raises UsageError for messages out of order.
    """
    special = tokenizer.specials
    ids, mask = [tokenizer.bos], [0]

    def put(tokens: list[int], said: int) -> None:
        ids.extend(tokens)
        mask.extend([said] * len(tokens))

    checked, previous = conversation(messages), ""
    for message in checked:
        said = int(message.role == "assistant")
        if message.role == "tool":
            put([*tokenizer.encode(message.content), special["<|done|>"]], 0)
        else:
            if previous != "tool":
                put([special[f"<|{message.role}|>"]], 0)
            put(tokenizer.encode(message.content), said)
            if message.call is None:
                put([special["<|end|>"]], said)
            else:
                put([special["<|call|>"], *tokenizer.encode(message.call), special["<|result|>"]], 1)
        previous = message.role
    return ids, mask


def render_prompt(messages: Sequence[Message | Mapping[str, object]], tokenizer: Tokenizer) -> list[int]:
    """The tokens after which the assistant speaks; when the last message is its own, it goes on from there."""
    ids, _ = render(messages, tokenizer)
    if ids[-1] != tokenizer.specials["<|end|>"]:
        return ids
    last = conversation(messages)[-1]
    return ids[:-1] if last.role == "assistant" else [*ids, tokenizer.specials["<|assistant|>"]]


def parse(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[Message, ...]:
    """The messages in a conversation's tokens; a last turn without its `<|end|>` counts as far as it goes.

    Raises TokenizerError where the tokens do not follow the template, as a half-trained model's may.
    """
    names = {number: name for name, number in tokenizer.specials.items()}
    messages: list[Message] = []
    role, content, text = "", "", list[int]()
    for at, token in enumerate(ids):
        name = names.get(int(token))
        if name is None:
            text.append(int(token))
            continue
        spoken, text = tokenizer.decode(text), []
        match name, role:
            case "<|bos|>", "" if at == 0:
                continue
            case "<|system|>" | "<|user|>" | "<|assistant|>", "" if not spoken:
                role = name.strip("<|>")
            case "<|end|>", "system" | "user" | "assistant":
                messages.append(Message(role=role, content=spoken))
                role = ""
            case "<|call|>", "assistant":
                role, content = "call", spoken
            case "<|result|>", "call":
                messages.append(Message(role="assistant", content=content, call=spoken))
                role = "tool"
            case "<|done|>", "tool":
                messages.append(Message(role="tool", content=spoken))
                role = "assistant"
            case _:
                raise TokenizerError(
                    f"token {at} is {name} {f'in a turn of {role!r}' if role else 'outside any turn'}",
                    advice="the tokens are not a conversation in coldframe's chat template",
                )
    if text and not role:
        raise TokenizerError("the tokens hold text outside any turn", advice="this is a document, not a conversation")
    if role == "call":
        messages.append(Message(role="assistant", content=content, call=tokenizer.decode(text)))
    elif text:
        messages.append(Message(role=role, content=tokenizer.decode(text)))
    return tuple(messages)
