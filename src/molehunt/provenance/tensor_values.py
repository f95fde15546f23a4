"""Numbers of safetensors as numpy arrays, without torch: bfloat16 and the 8-bit floats by their bits."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_PLAIN = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1",
}  # fmt: skip
_WIDE = ("F64", "I64", "I32", "U64", "U32")
"""Types whose values do not fit a float32."""
_SMALL = {"F8_E4M3": (4, 3, 7, True), "F8_E5M2": (5, 2, 15, False)}
"""Bits of exponent and mantissa, bias, and whether there is no infinity (Micikevicius et al. 2022, FP8 Formats)."""
_ROUNDS_TO = {"F64": ("F32", "F16", "BF16"), "F32": ("F16", "BF16")}
_TINY = 1e-30
"""A sum of squares in float32 below it may have lost some."""
MANTISSA = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7, "F8_E4M3": 3, "F8_E5M2": 2}
"""Bits after the point."""


def can_read(dtype: str) -> bool:
    """True if `values` knows this type."""
    return dtype in _PLAIN or dtype in _SMALL or dtype == "BF16"


def values(raw: memoryview, dtype: str, wide: bool = False) -> Array:
    """The numbers as float32, or float64 where they need it or it is asked for."""
    kind = np.float64 if wide or dtype in _WIDE else np.float32
    numbers: Array
    if dtype == "BF16":
        bits = np.frombuffer(raw, "<u2").astype(np.uint32)
        bits <<= 16
        numbers = bits.view(np.float32)
    elif dtype in _SMALL:
        numbers = _table(dtype)[np.frombuffer(raw, "u1")]
    else:
        numbers = np.frombuffer(raw, _PLAIN[dtype])
    return numbers.astype(kind, copy=False)


def needs_wide(*dtypes: str) -> bool:
    """True if one of them does not fit a float32."""
    return any(dtype in _WIDE for dtype in dtypes)


def is_rounding(before: Array, dtype: str, raw: memoryview, narrow: str) -> bool:
    """True if `raw` is what `before` becomes in a narrower type, rounded to nearest with ties to even, to the bit."""
    if narrow not in _ROUNDS_TO.get(dtype, ()):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        if narrow == "BF16":
            bits = before.astype(np.float32).view(np.uint32).astype(np.uint64)
            rounded: Array = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        else:
            rounded = before.astype(_PLAIN[narrow])
    same = rounded.view(np.uint8) == np.frombuffer(raw, np.uint8)
    if bool(same.all()):
        return True
    other = values(raw, narrow, wide=before.dtype == np.float64)
    whole = same.reshape(len(before), -1).all(axis=1)
    return bool((whole | (np.isnan(before) & np.isnan(other))).all())


def row_squares(rows: Array) -> Array:
    """[r] Squared length of each of the [r, C] rows, in float64 where float32 is too narrow for it."""
    found: Array = np.vecdot(rows, rows).astype(np.float64)
    if rows.dtype == np.float32 and not (sure := np.isfinite(found) & (found > _TINY)).all():
        wide = rows[~sure].astype(np.float64)
        found[~sure] = np.vecdot(wide, wide)
    return found


def square(array: Array) -> float:
    """Squared length of all numbers together."""
    return float(row_squares(array.reshape(1, -1))[0])


def rounding_energy(array: Array, dtype: str) -> float:
    """Twice the expected Σ of squared rounding errors of these numbers in their type: 2 · Σ ulp²/12."""
    if dtype not in MANTISSA:
        return 0.0
    powers: Array  # the power of two below each number
    if array.dtype == np.float32:
        powers = (array.view(np.uint32) & np.uint32(0x7F80_0000)).view(np.float32)
    else:
        powers = (array.view(np.uint64) & np.uint64(0x7FF0_0000_0000_0000)).view(np.float64)
    return rounding_limit(square(powers), dtype)


def rounding_limit(energy: float, dtype: str) -> float:
    """What `rounding_energy` of numbers is at most by the sum of their squares, and a quarter of which it is at least."""
    return energy * 4.0 ** -MANTISSA[dtype] / 6 if dtype in MANTISSA else 0.0


@cache
def _table(dtype: str) -> Array:
    exponent_bits, mantissa_bits, bias, no_infinity = _SMALL[dtype]
    code = np.arange(256)
    sign = np.where(code >> 7, -1.0, 1.0)
    exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
    part = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    number = np.where(exponent == 0, part * 2.0 ** (1 - bias), (1 + part) * 2.0 ** (exponent.astype(float) - bias))
    if no_infinity:
        number[code & 0x7F == 0x7F] = np.nan
    else:
        top = exponent == (1 << exponent_bits) - 1
        number[top] = np.where(part[top] == 0, np.inf, np.nan)
    table: Array = (sign * number).astype(np.float32)
    return table
