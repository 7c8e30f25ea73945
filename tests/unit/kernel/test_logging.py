"""A correlation id is on every line that is logged while it holds, across tasks begun there, and nowhere else."""

import asyncio
import json

import structlog

from candlewick.kernel.logging import configure, correlated, correlation_id, logger


async def test_lines_carry_the_id_of_what_is_worked_on(capsys):
    before = structlog.get_config()
    try:
        configure("info", "json")

        async def later():
            await asyncio.sleep(0)
            logger("house").info("from a task")

        with correlated("a"):
            task = asyncio.ensure_future(later())
            with correlated("b"):
                logger("house").info("inside")
            logger("house").info("outside again")
        assert correlation_id() is None
        logger("house").info("nowhere")
        await task
    finally:
        structlog.configure(**before)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("correlation_id")) for line in lines] == [
        ("inside", "b"), ("outside again", "a"), ("nowhere", None), ("from a task", "a"),
    ]  # fmt: skip
    assert list(lines[0])[:3] == ["correlation_id", "unit", "event"]
