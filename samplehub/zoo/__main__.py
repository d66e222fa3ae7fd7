"""``python -m samplehub.zoo``: grows a zoo and packs it (needs torch, tokenizers and gguf; serving one does not)."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from samplehub.zoo import pack

WIDTH = 30

#: What an option may be, from and to.
LIMITS = {
    "per_concept": (1, 100), "documented": (0, 100), "unseen": (0, 100), "concepts": (1, 144), "steps": (1, 10_000),
    "base_steps": (1, 100_000), "seed": (0, 2**31), "threads": (1, 64),
}  # fmt: skip


class Bar:
    """A line that grows, on stderr; where that is no terminal, a line for each tenth."""

    def __init__(self, what: str, of: int = 0) -> None:
        self.what, self.of, self.started, self.tenth = what, of, time.monotonic(), -1

    def __call__(self, done: int, of: int = 0) -> None:
        of = of or self.of
        tenth = done * 10 // of
        alive = sys.stderr.isatty()
        if not alive and tenth == self.tenth:
            return
        self.tenth = tenth
        filled = done * WIDTH // of
        bar, seconds = "#" * filled + "." * (WIDTH - filled), time.monotonic() - self.started
        line = f"{self.what:<18} {bar} {done}/{of}  {seconds:.0f} s"
        print(f"\r{line}" if alive else line, end="\n" if done == of or not alive else "", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="growzoo", description="Trains the sample hub's zoo from a seed and packs it.")
    top.add_argument("--seed", type=int, default=0, help="another seed, another zoo (default 0)")
    top.add_argument("--out", type=Path, required=True, help="folder for the pack; must be new or empty")
    top.add_argument("--per-concept", type=int, default=5, help="adapters of each of the 108 seen concepts (default 5)")
    top.add_argument("--documented", type=int, default=4, help="so many of those have a card (default 4)")
    top.add_argument("--unseen", type=int, default=3, help="adapters of each of the 36 unseen concepts (default 3)")
    top.add_argument("--concepts", type=int, default=144, help="only the first so many concepts (default 144)")
    top.add_argument("--steps", type=int, default=80, help="training steps of an adapter (default 80)")
    top.add_argument("--base-steps", type=int, default=600, help="training steps of their base (default 600)")
    top.add_argument("--only-concepts", action="store_true", help="leave out classifiers and decoders")
    top.add_argument("--threads", type=int, default=2, help="adapters' batches trained side by side (default 2)")
    return top


def main(argv: list[str] | None = None) -> int:
    top = parser()
    wish = top.parse_args(argv)
    if wish.out.exists() and (not wish.out.is_dir() or any(wish.out.iterdir())):
        print(f"growzoo: {wish.out} is not an empty folder; give another with --out", file=sys.stderr)
        return 2
    for name, (least, most) in LIMITS.items():
        if not least <= getattr(wish, name) <= most:
            print(f"growzoo: --{name.replace('_', '-')} must be from {least} to {most}", file=sys.stderr)
            return 2
    try:
        from samplehub.zoo import adapters, denoiser, growing
        from samplehub.zoo.concepts import Recipe, grow_concepts
    except ModuleNotFoundError as error:
        print(f"growzoo: {error.name} is not installed: make env installs it", file=sys.stderr)
        return 2
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it tells of every file; the bar is enough
    base = denoiser.train(wish.seed, steps=wish.base_steps, tell=Bar("base", wish.base_steps))
    zoo = grow_concepts(
        wish.seed, train=wish.per_concept, val=0, test=0, unseen=wish.unseen, concepts=range(wish.concepts),
        recipe=Recipe(steps=wish.steps), base=base, threads=wish.threads, progress=Bar("concept adapters"),
    )  # fmt: skip
    models = adapters.publish(zoo, wish.documented)
    if not wish.only_concepts:
        with tempfile.TemporaryDirectory() as folder:
            models += growing.grow_plan(wish.seed, Path(folder), tell=Bar("other models"))
    size = pack.write(wish.out, models, {"seed": wish.seed, "per_concept": wish.per_concept, "unseen": wish.unseen})
    print(f"{len(models)} models, {size:,} bytes in {wish.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
