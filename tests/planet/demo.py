"""`make demo`: three nodes, their edge agents and NATS on this machine, with the distances between them emulated."""

import os
import signal
import sys
import time
from pathlib import Path

from planet import PARIS, TOKYO, VIRGINIA, Planet

ROOT = Path(__file__).resolve().parents[2]
DELAYS = ROOT / "data" / "azure_region_rtt_median_ms_2026.csv"

TEXT = """
  Three nodes of one fleet: Tokyo, Paris and Virginia, as far apart as the cities are.

  Shopper in Tokyo   {tokyo}/call
  Agent in Paris     {paris}/desk
  Live calls         {virginia}/operator

  Open the first two in Chrome or Chromium, in windows of their own, and let the shopper call.
  Then try:   kill -9 {pid}   (the node in Tokyo)      {binary} drain --config {folder}/paris.json
  Logs        {folder}
  Ctrl-C ends everything.
"""


def main() -> None:
    binaries = Path(sys.argv[1]).resolve()
    planet = Planet(binaries, [TOKYO, PARIS, VIRGINIA], DELAYS, pages=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        planet.start()
        tokyo, paris, virginia = (planet.nodes[name] for name in ("tokyo", "paris", "virginia"))
        print(
            TEXT.format(
                tokyo=tokyo.http,
                paris=paris.http,
                virginia=virginia.http,
                pid=tokyo.server.pid,
                binary=os.path.relpath(binaries / "tradewind"),
                folder=planet.folder,
            ),
            flush=True,
        )
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    finally:
        planet.stop()


if __name__ == "__main__":
    main()
