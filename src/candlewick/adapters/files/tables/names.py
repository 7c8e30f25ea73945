"""What the name of a file tells: symbol, timeframe, day."""

import re
from pathlib import Path
from typing import Final

from candlewick.contracts.timeframes import SECONDS

QUOTES: Final = (
    "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "TRY", "BRL", "JPY", "AUD", "BTC", "ETH", "BNB",
    "DAI",
)  # fmt: skip
_WORDS: Final = {"second": "1s", "minute": "1m", "hour": "1h", "daily": "1d", "day": "1d", "weekly": "1w", "week": "1w"}
_ISO_PERIODS: Final = {
    "PT1M": "1m", "PT3M": "3m", "PT5M": "5m", "PT15M": "15m", "PT30M": "30m", "PT1H": "1h", "PT4H": "4h",
    "P1D": "1d", "PT1D": "1d", "P1W": "1w",
}  # fmt: skip


def symbol_of(text: str) -> str | None:
    """``BTC-USDT`` of BTCUSDT, BTC/USDT, btc_usdt, BTC-USDT or BTC/USDT:USDT; None when it is not clear."""
    plain = text.strip().upper().partition(":")[0]
    parts = re.split(r"[-/_]", plain)
    if len(parts) == 2 and all(re.fullmatch(r"[A-Z0-9]{1,20}", part) for part in parts):
        return f"{parts[0]}-{parts[1]}"
    if len(parts) == 1 and re.fullmatch(r"[A-Z0-9]{4,30}", plain):
        for quote in QUOTES:
            if plain.endswith(quote) and len(plain) > len(quote):
                return f"{plain[: -len(quote)]}-{quote}"
    return None


def symbol_in_name(path: Path) -> str | None:
    """The symbol that a file is named after: BTCUSDT-1m-2021-04.csv, XRP_ETH-trades.json.gz, btcusdt_trade.zip."""
    stem = path.name.partition(".")[0]
    words = [word for word in re.split(r"[-_ ]", stem) if word]
    if len(words) > 2 and words[1].upper() in QUOTES and words[2].upper() in QUOTES:
        words = words[1:]  # Coinbase-BTC-USD: the exchange comes first
    for count in (2, 1):
        for first in range(max(1, min(3, len(words) - count + 1))):
            piece = words[first : first + count]
            known = len(piece) == 1 or piece[-1].upper() in QUOTES
            if len(piece) == count and known and (found := symbol_of("-".join(piece))) is not None:
                return found
    return None


def timeframe_in_name(path: Path) -> int | None:
    """Seconds of the timeframe that a file (or one of the two folders above) is named after."""
    for text in (path.name, path.parent.name, path.parent.parent.name):
        for word in re.split(r"[-_ .]", text):
            if word.upper() in _ISO_PERIODS:
                return SECONDS[_ISO_PERIODS[word.upper()]]
            name = _WORDS.get(word.lower(), word if word[-1:] == "M" else word.lower())
            if name in SECONDS:
                return SECONDS[name]
    return None


def day_in_name(path: Path) -> str | None:
    """YYYYMMDD of a file that holds one day."""
    match = re.search(r"(?<!\d)((?:19|20)\d\d)-?(\d\d)-?(\d\d)(?!\d)", path.name)
    return "".join(match.groups()) if match else None
