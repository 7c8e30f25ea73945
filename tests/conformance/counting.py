"""A job that is long enough to be killed in the middle."""

import asyncio


async def count(context, args):
    """Counts from its checkpoint on; its note says where it began."""
    begun = at = context.checkpoint or 0
    while at < args["n"]:
        at += 1
        await context.report(at / args["n"], f"from {begun}", checkpoint=at)
        await asyncio.sleep(0.02)
    return at
