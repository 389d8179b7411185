"""`make demo`: three nodes, their edge agents and NATS on this machine, with the distances between them emulated."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from planet import PARIS, TOKYO, VIRGINIA, Balancer, Planet, free_port

ROOT = Path(__file__).resolve().parents[2]
DELAYS = ROOT / "data" / "azure_region_rtt_median_ms_2026.csv"

TEXT = """
  Three nodes of one fleet: Tokyo, Paris and Virginia, as far apart as the cities are.

  Shopper in Tokyo   {tokyo}/call
  Agent in Paris     {paris}/desk
  Live calls         {virginia}/operator

  Open the first two in Chrome or Chromium, in windows of their own, and let the shopper call.
  Before each node stands a balancer that leads to another node when the first takes no calls. During a call, try:
    kill -9 {pid}    the node in Tokyo dies
    {binary} drain --config {folder}/paris.json    the node in Paris hands over what it has
  Logs  {folder}
  Ctrl-C ends everything.
"""


async def main() -> None:
    binaries = Path(sys.argv[1]).resolve()
    entries = {place.name: free_port() for place in (TOKYO, PARIS, VIRGINIA)}
    planet = Planet(binaries, [TOKYO, PARIS, VIRGINIA], DELAYS, pages=True, probes=False, entries=entries)
    ended = asyncio.Event()
    for how in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(how, ended.set)
    try:
        await asyncio.to_thread(planet.start)
        async with contextlib.AsyncExitStack() as balancers:
            for name, port in entries.items():
                others = [node for other, node in planet.nodes.items() if other != name]
                await balancers.enter_async_context(Balancer([planet.nodes[name], *others], port))
            print(
                TEXT.format(
                    **{name: planet.entry(name) for name in entries},
                    pid=planet.nodes["tokyo"].server.pid,
                    binary=os.path.relpath(binaries / "tradewind"),
                    folder=planet.folder,
                ),
                flush=True,
            )
            await ended.wait()
    finally:
        planet.stop()


if __name__ == "__main__":
    asyncio.run(main())
