"""``python -m evals.attacks``: attack success as a Markdown table; exit code 1 above the threshold."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from personaagent.evals.attacks.runner import corpus, run, success, table


def main() -> int:
    """Run the corpus and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m evals.attacks", description=__doc__)
    parser.add_argument("--threshold", type=float, default=0.0, help="share of attacks that may succeed")
    parser.add_argument("--kind", help="only attacks of this kind")
    options = parser.parse_args()
    attacks = [attack for attack in corpus() if options.kind in (None, attack.kind)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        results = asyncio.run(run(Path(home), attacks))
    print(table(results))
    print(f"\nattack success {success(results):.1%} of {len(results)} attacks, {time.monotonic() - began:.0f} s")
    return int(success(results) > options.threshold)


if __name__ == "__main__":
    sys.exit(main())
