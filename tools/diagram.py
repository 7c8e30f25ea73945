"""Diagrams drawn from the registry, as SVG that follows the reader's light or dark theme."""

from candlewick.contracts.topics import CATALOGUE
from tools.catalogues import specs

ROW, WIDTH, BOX = 46, 940, 200
COLUMNS = (20, (WIDTH - 260) // 2, WIDTH - BOX - 20)
STYLE = """<style>
  text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1c1f24 }
  .head { font-size: 11px; letter-spacing: .06em; fill: #667 }
  .small { font-size: 11px; fill: #667 }
  rect { fill: #fff; stroke: #c3c8d0 } rect.topic { fill: #f3f5f8 }
  path { fill: none; stroke: #8b95a5; stroke-width: 1.3 }
  path.shared { stroke: #2f6fde } path.broadcast { stroke-dasharray: 4 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e7eaf0 } .head, .small { fill: #97a1b2 } rect { fill: #1b1f27; stroke: #3b4352 }
    rect.topic { fill: #14171d } path { stroke: #66718a } path.shared { stroke: #6fa0ff }
  }
</style>"""


def _curve(x1: int, y1: int, x2: int, y2: int, kind: str) -> str:
    middle = (x1 + x2) // 2
    return f'<path class="{kind}" d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"/>'


def _box(x: int, y: int, width: int, name: str, below: str, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{x}" y="{y - 17}" width="{width}" height="34" rx="6"/>'
        f'<text x="{x + 12}" y="{y - 1}">{name}</text><text class="small" x="{x + 12}" y="{y + 12}">{below}</text>'
    )


def _span(seconds: int) -> str:
    return f"{seconds // 86_400} d" if seconds >= 86_400 else f"{seconds // 60} min"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def topics_svg() -> str:
    """Who writes each topic and who reads it: producers left, topics in the middle, consumers right."""
    services = specs()
    producers = [s for s in services if s.produces]
    consumers = [s for s in services if s.consumes]
    topics = sorted(CATALOGUE, key=lambda topic: ([s.name for s in producers].index(topic.producer), topic.name))
    height = 60 + ROW * max(len(topics), len(producers), len(consumers))

    def places(count: int) -> list[int]:
        step = (height - 60) / max(count, 1)
        return [int(60 + step * (i + 0.5)) for i in range(count)]

    left = dict(zip([s.name for s in producers], places(len(producers)), strict=True))
    middle = dict(zip([t.name for t in topics], places(len(topics)), strict=True))
    right = dict(zip([s.name for s in consumers], places(len(consumers)), strict=True))
    lines = [_curve(COLUMNS[0] + BOX, left[t.producer], COLUMNS[1], middle[t.name], "made") for t in topics]
    lines += [
        _curve(COLUMNS[1] + 260, middle[read.topic], COLUMNS[2], right[service.name], read.mode)
        for service in consumers
        for read in service.consumes
    ]
    boxes = [
        _box(COLUMNS[0], left[s.name], BOX, s.name, f"writes {_count(len(s.produces), 'topic')}", "service")
        for s in producers
    ]
    for topic in topics:
        kept = "newest a key" if topic.cleanup == "compact" else f"{_span(topic.retention_s)}"
        below = f"{topic.partitions} partitions, {kept} kept"
        boxes.append(_box(COLUMNS[1], middle[topic.name], 260, topic.name, below, "topic"))
    boxes += [
        _box(COLUMNS[2], right[s.name], BOX, s.name, f"reads {_count(len(s.consumes), 'topic')}", "service")
        for s in consumers
    ]
    heads = "".join(
        f'<text class="head" x="{x}" y="28">{text}</text>'
        for x, text in zip(COLUMNS, ("WRITER", "TOPIC", "READER"), strict=True)
    )
    legend = f'<text class="small" x="{COLUMNS[2]}" y="42">line: shared; dashes: broadcast</text>'
    heads += legend
    parts = "\n".join([STYLE, heads, *lines, *boxes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Services, the topics they write and who reads them">\n{parts}\n</svg>\n'
    )
