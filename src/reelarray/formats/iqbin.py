"""Complex samples with a header of 8 bytes or none: `.bin`, and suffixes that name the type, such as `.cu8`."""

from __future__ import annotations

import math
import re
import struct
from contextlib import closing
from fractions import Fraction

from ..errors import FormatError
from ..source import Format, Header
from .pairs import check_radio, headerless, source
from .ranges import HeaderBytes, is_remote

# What rtl_433, inspectrum, UHD, GNU Radio and iqtools call their files; those that mean other things elsewhere (.c8,
# .c16, .iq, .dat) are left to format="iqbin" with dtype=.
TYPES = {
    ".c64": "cf32_le", ".cf32": "cf32_le", ".fc32": "cf32_le", ".cfile": "cf32_le", ".cf64": "cf64_le",
    ".fc64": "cf64_le", ".ci8": "ci8", ".cs8": "ci8", ".sc8": "ci8", ".cu8": "cu8", ".ci16": "ci16_le",
    ".cs16": "ci16_le", ".sc16": "ci16_le", ".cu16": "cu16_le", ".ci32": "ci32_le", ".cs32": "ci32_le",
    ".sc32": "ci32_le",
}  # fmt: skip
UNTYPED = (".bin", ".raw")
HEADER = struct.Struct("<2f")
# Samples taken for a header look like rates of a millionth of a hertz; no receiver is as slow as this.
LEAST_RATE = 1.0

_PART = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(GHz|MHz|kHz|Hz|M|Gsps|Msps|ksps|sps|k)(?![A-Za-z0-9])")
_FACTORS = {"G": 10**9, "M": 10**6, "k": 10**3}


def probe(
    path: str,
    *,
    rate: float | Fraction | None = None,
    center_frequency: float | None = None,
    header: bool | None = None,
    dtype: str | None = None,
    scale: float | None = None,
) -> Header:
    """Describe a file of complex samples, one channel.

    With `header=True` it begins with two little-endian float32, the rate and the centre frequency [Hz]; the two kinds
    of `.bin` cannot be told apart by their bytes. A float32 has 24 bits: 244,778,900 Hz is stored as 244,778,896 Hz, so
    give `center_frequency=` for the true one. Files without a header may say both in their name: see `name_facts`;
    what was taken from there is in the metadata, as `from_file_name`.

    Parameters
    ----------
    rate : samples a second [Hz]; without `header=` it says that there is none
    center_frequency : [Hz]; else what the header or the name says, else 0
    header : are there 8 bytes before the samples?
    dtype : "cf32_le", "ci16_le", "cu8" ..., as for format="raw"; else what the suffix says, else "cf32_le"
    scale : volts of one count (of 1.0 for floats); left out, full scale is 1 and units are "1"

    Flags: "partial_frame" where the file ends inside a sample. Raises `FormatError` for a missing or impossible rate.
    """
    check_radio(path, rate=rate, center_frequency=center_frequency)
    name = path.partition("?")[0] if is_remote(path) else path
    suffix = name[name.rfind(".") :].lower()
    dtype = dtype or TYPES.get(suffix, "cf32_le")
    if header is None and rate is None and suffix not in TYPES:
        raise FormatError(
            f"{path} can begin with 8 bytes of rate and centre frequency or with samples, which look alike; pass "
            "header=True, or rate= (Hz) if there is no header, or format='raw' with rate= and dtype= for samples of "
            "another kind, or the format= that it has"
        )
    with closing(HeaderBytes(path)) as file:
        guess: dict[str, Fraction] = {}
        if header:
            rate, center_frequency = _stated(file, rate, center_frequency)
        else:
            given = {"rate": rate, "center_frequency": center_frequency}
            guess = {fact: value for fact, value in name_facts(name).items() if given[fact] is None}
            rate = guess.get("rate") if rate is None else rate
            if center_frequency is None and "center_frequency" in guess:
                center_frequency = float(guess["center_frequency"])
        if not rate:
            raise FormatError(
                f"{path} has no header, and its name does not say the rate either (as g001_433.92M_250k.cu8 does); "
                "pass rate= in Hz, and center_frequency="
            )
        return headerless(
            file,
            "iqbin",
            rate=rate,
            dtype=dtype,
            offset=HEADER.size if header else 0,
            center_frequency=center_frequency,
            scale=scale,
            metadata={"from_file_name": {fact: float(value) for fact, value in guess.items()}} if guess else None,
        )


def _stated(
    file: HeaderBytes, rate: float | Fraction | None, center_frequency: float | None
) -> tuple[float | Fraction, float]:
    """Rate and centre frequency of the header, for what was not given."""
    if file.size < HEADER.size:
        raise FormatError(
            f"{file.path} has {file.size} bytes, its header has {HEADER.size}; the file was cut short, or has no "
            "header: skip it, or pass header=False and rate="
        )
    stated, center = HEADER.unpack(file.get(0, HEADER.size))
    plausible = math.isfinite(stated) and stated >= LEAST_RATE
    if (rate is None and not plausible) or (center_frequency is None and not math.isfinite(center)):
        raise FormatError(
            f"{file.path}: its first 8 bytes say {stated!r} Hz around {center!r} Hz, a finite rate of {LEAST_RATE:g} "
            "Hz or more and a finite centre were expected; pass header=False and rate= if these bytes are the first "
            "sample, or rate= and center_frequency= beside header=True if they are wrong"
        )
    # What is stored, to the bit: no guess at the number that was rounded to it.
    return Fraction(stated) if rate is None else rate, center if center_frequency is None else center_frequency


def name_facts(path: str) -> dict[str, Fraction]:
    """Rate and centre frequency [Hz] that a file's name says, between `_`, `-` or blanks, in the manner of rtl_433.

    A number with `M`, `Hz`, `kHz`, `MHz` or `GHz` is a frequency, one with `k`, `sps`, `ksps`, `Msps` or `Gsps` a rate.
    Two different ones of a kind say nothing.

    >>> {name: float(value) for name, value in name_facts("g001_433.92M_250k.cu8").items()}
    {'center_frequency': 433920000.0, 'rate': 250000.0}
    >>> name_facts("2M_and_4M.bin")
    {}
    """
    found: dict[str, set[Fraction]] = {}
    name = re.split(r"[/\\]", path)[-1]
    stem = name[: name.rfind(".")] if "." in name else name
    for number, unit in _PART.findall(re.sub(r"[_\s-]+", " ", stem)):
        kind = "rate" if unit == "k" or unit.endswith("sps") else "center_frequency"
        found.setdefault(kind, set()).add(Fraction(number) * _FACTORS.get(unit[0], 1))
    return {kind: values.pop() for kind, values in found.items() if len(values) == 1}


FORMAT = Format(
    name="iqbin",
    suffixes=(*UNTYPED, *TYPES),
    recognises=None,
    probe=probe,
    source=source,
    listed=(),
)
