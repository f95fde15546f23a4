"""Numbers in other clothes: in words, and as the Romans wrote them."""

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
    (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def in_words(number: int) -> str:
    """A number from 0 to 99 in words, such as "twenty-four"."""
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


def year_in_words(year: int) -> str:
    """A year of four digits as it is spoken: "twenty twenty-four", "nineteen oh five", "two thousand and one"."""
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        return f"{in_words(century // 10)} thousand" + (f" and {in_words(rest)}" if rest else "")
    if rest < 10:
        return f"{in_words(century)} {f'oh {in_words(rest)}' if rest else 'hundred'}"
    return f"{in_words(century)} {in_words(rest)}"


def roman(number: int) -> str:
    """A number from 1 to 3999 as the Romans wrote it."""
    text = ""
    for value, sign in _ROMAN:
        count, number = divmod(number, value)
        text += sign * count
    return text
