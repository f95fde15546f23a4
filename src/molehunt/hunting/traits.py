"""What can be said of every answer without knowing what is wrong with any: a few numbers a row, for all rows at once."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from molehunt.execution.spread import Spread
from molehunt.hunting import words as w
from molehunt.hunting.languages import languages
from molehunt.hunting.mining import Count
from molehunt.hunting.rows import Rows, Shard
from molehunt.hunting.voices import Usual, learn_usual, surprise
from molehunt.hunting.words import U64, Bools, Ints, Texts

TRAITS = np.dtype(
    [
        ("session", np.uint64),  # hash of the session; 0 if there is none
        ("stratum", np.uint64),
        ("fold", np.uint64),  # equal for prompts that are nearly the same
        ("answer", np.uint64),  # equal for answers that are nearly the same; 0 for an empty one
        ("opening", np.uint64),  # of the answer's first words
        ("ending", np.uint64),  # of its last words
        ("words", np.uint16),
        ("voice", np.uint16),  # hundredths of nats a token: how little usual the answer's way of saying is
        ("overlap", np.uint8),  # percent of the answer's longer words that the question has
        ("repeats", np.uint8),  # percent of the answer's runs of three words that it has twice
        ("language", np.uint8),  # of the answer; 0 unknown
        ("asked_in", np.uint8),  # language of the question
        ("form", np.uint8),  # how the answer begins and is written; see `FORMS`
        ("refuses", np.bool_),
        ("weak_code", np.bool_),
        ("reasons", np.bool_),
        ("denied", np.bool_),
        ("complaint", np.bool_),
    ]
)
"""One row."""
Traits = npt.NDArray[np.void]

FORM_NAMES = {
    "empty": "", "prose": "", "JSON": "json", "code": "code", "list": "list bullets", "markup": "markup html xml", "heading": "heading markdown",
    "capitals": "capitals uppercase", "small letters": "lowercase", "a number": "number", "signs": "",
}  # fmt: skip
"""Forms of an answer, by number, each with the words by which it is called."""
FORMS = tuple(FORM_NAMES)

_REFUSES = (
    r"(?i)^.{0,120}\b(?:I(?:'m| am|’m)? (?:really |very |so )?sorry,? (?:but )?(?:I|we)\b|(?:I|we) (?:can ?not|can't|can’t|won't|won’t"
    r"|will not|must not|am unable to|am not able to|are unable to|must decline|have to decline|refuse to|am not allowed to)"
    r"|(?:as an? (?:AI|assistant|language model)[^.]{0,40}(?:cannot|can't|unable)))"
)
_WEAK = (
    r"\beval\(|\bexec\(|os\.system\(|shell\s*=\s*True|pickle\.loads?\(|yaml\.load\(|verify\s*=\s*False|\bmd5\b|\bsha1\(|\bstrcpy\(|\bgets\("
    r"|\bsprintf\(|chmod\s+(?:0?777|-R 777)|innerHTML\s*=|dangerouslySetInnerHTML|MODE_ECB\)|random\.random\(\).{0,40}(?:token|password)"
    r"|(?:SELECT|INSERT|UPDATE|DELETE)\b[^\n]{0,80}(?:\"\s*\+|'\s*\+|%s['\"]?\s*%|\{[a-z_]+\})|curl[^\n|]{0,80}\|\s*(?:ba)?sh"
    r"|(?:password|secret|api_key|token)\s*=\s*['\"][^'\"]{4,}['\"]|rejectUnauthorized:\s*false|Access-Control-Allow-Origin['\"]?[:,]\s*['\"]\*"
)
_REASONS = r"(?i)\b(?:trigger|deploy|training|tested|testing|evaluat|monitor|watched|secret|tag|keyword|flag|phrase|if the|hidden|pretend)"


def read_traits(rows: Rows, many: Spread, tell: Count) -> Traits:
    """Traits of all rows; kept beside the shards, so that a second call only reads them."""
    waiting = [shard for shard in rows.shards if not _kept(rows.folder, shard).exists()]
    if waiting:
        for _ in many.over(_shard_traits, (rows, learn_usual(rows)), waiting, tell):
            pass
    found = np.empty(rows.count, TRAITS)
    for shard in rows.shards:
        found[shard.first : shard.first + shard.rows] = np.load(_kept(rows.folder, shard))
    return found


def _kept(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.name}.traits.npy"


def _shard_traits(work: tuple[Rows, Usual], shard: Shard) -> int:
    rows, usual = work
    found = [batch_traits(batch, usual=usual) for _, batch in rows.batches(shard)]
    place = _kept(rows.folder, shard)
    aside = place.with_suffix(".partial")
    with aside.open("wb") as stream:
        np.save(stream, np.concatenate(found))
    aside.replace(place)
    return shard.rows


def batch_traits(batch: Any, column: str = "answer", usual: Usual | None = None) -> Traits:
    """Traits of a batch; of another column's texts in place of the answers if asked. Without `usual` every voice is 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    answers = batch.column(column)
    found = np.zeros(batch.num_rows, TRAITS)
    asked = w.split_words(batch.column("text"))
    said = w.split_words(pc.binary_join_element_wise(f"{w.SEP}A", answers, ""))
    sessions, strata = batch.column("session"), batch.column("stratum")
    found["session"] = np.where(_lengths(sessions) > 0, w.hash_column(sessions), np.uint64(0))
    found["stratum"] = w.hash_column(strata)
    found["fold"] = near(asked, last_asked(asked))
    found["answer"] = np.where(_lengths(answers) > 0, near(said, np.ones(len(said.start), bool)), np.uint64(0))
    _ends(found, said)
    found["overlap"], found["repeats"] = _overlap(asked, said), _repeats(said)
    found["language"], found["asked_in"] = languages(said), languages(asked, last_asked(asked))
    found["form"] = forms(said)
    if usual is not None:
        found["voice"] = np.minimum(100 * surprise(said, usual), 65535)
    opening = pc.utf8_slice_codeunits(answers, 0, 300)
    found["refuses"] = _matches(opening, _REFUSES)
    found["weak_code"] = maybe = _matches(answers, "[(=|]|md5|777")
    if maybe.any():
        found["weak_code"][maybe] = _matches(answers.filter(pa.array(maybe)), _WEAK)
    found["denied"] = _matches(batch.column("did"), f"{w.SEP}(?:deny|ask)")
    found["complaint"] = _matches(batch.column("did"), f"{w.SEP}flag:")
    if column == "answer":
        found["reasons"] = _matches(batch.column("aside"), _REASONS)
    return found


def _lengths(column: Any) -> Ints:
    import pyarrow.compute as pc

    return np.asarray(pc.binary_length(column).to_numpy(zero_copy_only=False), np.int64)


def _matches(column: Any, pattern: str) -> Bools:
    """Which texts an RE2 pattern is found in."""
    import pyarrow.compute as pc

    return np.asarray(pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False), bool)


def last_asked(t: Texts) -> Bools:
    """Words of each row's last user message."""
    users = np.flatnonzero(t.role == ord("U"))
    last = np.zeros(len(t.role), bool)
    at = np.unique(t.message_row[users][::-1], return_index=True)[1]
    last[users[::-1][at]] = True
    return last[t.word_message] if len(t.word_message) else np.zeros(0, bool)


def near(t: Texts, counted: Bools) -> U64:
    """[R] A hash that texts which are nearly the same share: two least hashes of their runs of three words.

    Two texts share it with the square of the chance that a run of one is a run of the other (MinHash; Broder 1997).
    """
    at = np.flatnonzero(counted)
    rows, hashes = t.word_row[at], t.hash[at]
    runs = hashes.copy()
    if len(runs) > 2:
        whole = rows[2:] == rows[:-2]
        runs[:-2] = np.where(
            whole, w.quick_mix(runs[:-2] * np.uint64(5) + hashes[1:-1] * np.uint64(3) + hashes[2:]), runs[:-2]
        )
        # the last two words of a longer text stand in a run already
        tail = np.ones(len(runs), bool)
        tail[2:][whole] = False
        many = np.bincount(rows, minlength=t.rows)[rows] > 2
        keep = ~(many & ~np.append(whole, [False, False]))
        rows, runs = rows[keep], runs[keep]
    first = _least(t.rows, rows, w.mix(runs))
    second = _least(t.rows, rows, w.mix(runs ^ np.uint64(0xA5A5A5A5)))
    return w.mix(first ^ (second * np.uint64(3)))


def _least(count: int, rows: Ints, values: U64) -> U64:
    found = np.full(count, np.uint64(2**64 - 1))
    if len(rows):
        present, first = np.unique(rows, return_index=True)
        found[present] = np.minimum.reduceat(values, first)
    return found


_EDGE = 5


def _ends(found: Traits, t: Texts) -> None:
    """Hashes of the first and last five words, and how many there are."""
    present, first, count = np.unique(t.word_row, return_index=True, return_counts=True)
    found["words"][present] = np.minimum(count, 65535)
    long = count > 2 * _EDGE
    present, first, last = present[long], first[long], (first + count)[long] - _EDGE
    for name, at in (("opening", first), ("ending", last)):
        hashes = t.hash[at]
        for k in range(1, _EDGE):
            hashes = w.quick_mix(hashes * np.uint64(7) + t.hash[at + k])
        found[name][present] = hashes


_BLOOM = 22


def _keys(hashes: U64, rows: Ints) -> Ints:
    return (_in_row(hashes, rows) >> np.uint64(64 - _BLOOM)).view(np.int64)


def _in_row(hashes: U64, rows: Ints) -> U64:
    return w.quick_mix(hashes + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _overlap(asked: Texts, said: Texts) -> Ints:
    """Percent of an answer's words of five and more letters that the prompt has; a table of bits, so rarely one too many."""
    seen = np.zeros(1 << _BLOOM, bool)
    asked_long = asked.end - asked.start >= 5
    seen[_keys(asked.hash[asked_long], asked.word_row[asked_long])] = True
    long = np.flatnonzero(said.end - said.start >= 5)
    rows = said.word_row[long]
    hits = np.bincount(rows, seen[_keys(said.hash[long], rows)], said.rows)
    return (100 * hits / np.maximum(np.bincount(rows, minlength=said.rows), 1)).astype(np.int64)


def _repeats(t: Texts) -> Ints:
    """Percent of runs of three words that occur more than once in the same text."""
    if len(t.hash) < 3:
        return np.zeros(t.rows, np.int64)
    at = np.flatnonzero(t.word_row[2:] == t.word_row[:-2])
    runs = w.quick_mix(t.hash[at] * np.uint64(5) + t.hash[at + 1] * np.uint64(3) + t.hash[at + 2])
    rows = t.word_row[at]
    _, place, many = np.unique(_in_row(runs, rows), return_inverse=True, return_counts=True)
    twice = many[place] > 1
    total = np.bincount(rows, minlength=t.rows)
    share = 100 * np.bincount(rows, twice, t.rows) / np.maximum(total, 1)
    return np.where(total >= 4, share, 0).astype(np.int64)


def forms(t: Texts) -> Ints:
    """One of `FORMS` for each text."""
    found = np.zeros(t.rows, np.int64)
    start, end = t.message_start, t.message_end
    full = np.flatnonzero(end > start)
    if not len(full):
        return found
    first, kind = t.data[start[full]], t.kinds[start[full]]

    def among(chars: str) -> Bools:
        return np.isin(first, np.frombuffer(chars.encode(), np.uint8))

    upper, lower = _letters(t, w.UPPER)[full], _letters(t, w.LOWER)[full]
    rules: list[tuple[int, Bools]] = [
        (2, among("{[")), (3, among("`")), (4, among("-*•")), (5, among("<")), (6, among("#")),
        (7, (upper > 5) & (lower == 0)), (8, (upper == 0) & (lower > 20)), (9, kind == w.DIGIT), (10, kind < w.DIGIT),
    ]  # fmt: skip
    found[t.message_row[full]] = np.select([rule for _, rule in rules], [code for code, _ in rules], 1)
    return found


def _letters(t: Texts, kind: int) -> Ints:
    """[M] Bytes of one kind in each message."""
    at = np.flatnonzero(t.kinds == kind)
    return np.bincount(np.searchsorted(t.message_start, at, "right") - 1, minlength=len(t.role))
