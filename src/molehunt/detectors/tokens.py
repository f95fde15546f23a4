"""Tokens that can be typed in."""

from functools import lru_cache

from molehunt.models.chat import Chat


def usable_tokens(chat: Chat) -> list[int]:
    """Ids of tokens that can be typed in: visible, whole characters, not special."""
    return list(_usable(chat))


@lru_cache(maxsize=2)
def _usable(chat: Chat) -> tuple[int, ...]:
    special = {*chat.tokenizer.all_special_ids, *chat.tokenizer.added_tokens_decoder}
    ids = sorted(set(chat.tokenizer.get_vocab().values()) - special)
    texts = ((i, chat.decode([i])) for i in ids)
    return tuple(i for i, text in texts if text.strip() and text.isprintable() and "\ufffd" not in text)
