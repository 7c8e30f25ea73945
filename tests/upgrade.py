"""The next version of the product, made from this one: the same code with what a release may change.

It says another version, has a field more in the events of three services (of a number that this version does not know),
writes those fields, has one more step in history's schema and uses it, answers with one more field, and sends a header
of its own between services.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from candlewick.quant import kernel_cache

ROOT = Path(__file__).resolve().parents[1]
VERSION = "0.2.0-next"
STEP = '''"""Who wrote a gap last."""

import sqlalchemy as sa
from alembic import op

revision = "{own}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("gaps", sa.Column("seen_by", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("gaps", "seen_by")
'''
HISTORY = "src/candlewick/services/history/"
CHANGES = {
    "src/candlewick/__init__.py": [('__version__ = "', f'__version__ = "{VERSION}"\n_WAS = "')],
    "proto/candlewick/market/v1/symbols.proto": [
        ("  string status = 10;", "  string listed_by = 11;\n  string status = 10;"),
    ],
    "src/candlewick/contracts/market.py": [
        ("    status: str = TRADING\n", f'    status: str = TRADING\n    listed_by: str = "{VERSION}"\n'),
    ],
    "proto/candlewick/stream/v1/candles.proto": [
        ("message CandleBatch {\n", "message CandleBatch {\n  string built_by = 3;\n"),
    ],
    "src/candlewick/quant/candles/operator.py": [
        ("CandleBatch(message.exchange, message.symbol, columns)",
         f'CandleBatch(message.exchange, message.symbol, columns, "{VERSION}")'),
    ],
    "proto/candlewick/history/v1/history.proto": [
        ("message GapOpened {\n", "message GapOpened {\n  string found_by = 9;\n"),
    ],
    "src/candlewick/contracts/history.py": [
        ("    trades_missing: int\n    detail: str\n",
         f'    trades_missing: int\n    detail: str\n    found_by: str = "{VERSION}"\n'),
    ],
    f"{HISTORY}storage.py": [
        ("            {name: getattr(gap, name) for name in names},\n        )\n",
         "            {name: getattr(gap, name) for name in names},\n        )\n"
         '        by = {"by": "' + VERSION + '", "id": gap.id}\n'
         '        await tx.execute("UPDATE gaps SET seen_by = :by WHERE id = :id", by)\n'),
    ],
    "src/candlewick/app/http/service_app.py": [
        ('            "version": __version__,\n', '            "version": __version__, "notes": "next",\n'),
    ],
    "src/candlewick/app/http/headers.py": [
        ("    return headers\n", '    headers["x-candlewick-of-the-next-version"] = "1"\n    return headers\n'),
    ],
}  # fmt: skip


def next_version(folder: Path) -> Path:
    """An interpreter that has the next version; everything of it lies in ``folder``."""
    folder.mkdir()
    left_out = shutil.ignore_patterns("__pycache__", "static", "released")
    shutil.copytree(ROOT / "src", folder / "src", ignore=left_out)
    shutil.copytree(ROOT / "proto", folder / "proto", ignore=left_out)
    if (ROOT / "src/candlewick/app/static").is_dir():
        (folder / "src/candlewick/app/static").symlink_to(ROOT / "src/candlewick/app/static")
    for name, changes in CHANGES.items():
        file = folder / name
        text = file.read_text()
        for was, becomes in changes:
            assert was in text, f"{name} is no longer what the next version is made from: {was!r}"
            text = text.replace(was, becomes, 1)
        file.write_text(text)
    _add_field_behind_the_columns(folder / "src/candlewick/contracts/stream.py")
    _add_step(folder / HISTORY / "schema/versions")
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools/gen_proto.py", folder / "tools/gen_proto.py")
    subprocess.run([sys.executable, str(folder / "tools/gen_proto.py")], check=True, cwd=folder)
    python = folder / "python"
    # Kernels are kept by what they are made from; the folder they are kept in has the version in its name.
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{folder}/src" NUMBA_CACHE_DIR="{kernel_cache.folder()}" exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    said = subprocess.run([python, "-c", "import candlewick; print(candlewick.__version__)"], capture_output=True,
                          text=True, check=True, env=os.environ)  # fmt: skip
    assert said.stdout.strip() == VERSION
    return python


def _add_field_behind_the_columns(file: Path) -> None:
    text = file.read_text()
    at = text.index("    columns_v1: CandleColumns\n", text.index("class CandleBatch("))
    end = at + len("    columns_v1: CandleColumns\n")
    file.write_text(f'{text[:end]}    built_by: str = ""\n{text[end:]}')


def _add_step(versions: Path) -> None:
    newest = max(versions.glob("[0-9]*.py")).stem.partition("_")[0]
    own = f"{int(newest) + 1:04}"
    (versions / f"{own}_seen_by.py").write_text(STEP.format(own=own, before=newest))
