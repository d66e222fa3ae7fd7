"""Weights by range: a declared edge of a 1.1 B model verified against downloading it, and 100,000 changed headers.

The hub is a process of its own: 30 ms before each answer, 100 MB/s over all connections together. Verified is a child
that is known by name alone (its list of files, its header and its rows are read), against the stored sketch of its
base. The peers fetch the same child whole: huggingface_hub's own download, and 8 ranges at a time through our client;
the faster one counts. The child must come out as a fine-tune of its base and not of a stranger of the same shape.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import Bench

SEEDS = (101, 202, 303)
LAYERS = {"full": 22, "small": 1}
CHANGED = {"full": 100_000, "small": 1_500}
BYTES = 8_000_000
MEMORY = 300  # MB
LIMIT = 2.0  # seconds for one header
AT_ONCE = 8
PIECE = 8 * 1024 * 1024
CHILD = "org/child"
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    bench = Bench("weights")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--only", default="", help="verify or headers")
    parser.add_argument("--part", choices=["headers"], help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help="changed headers")
    arguments = parser.parse_args()
    bench.begin(arguments)
    count = arguments.count or CHANGED[arguments.size]
    if arguments.part:
        json.dump(changed_headers(count), sys.stdout)
        return 0
    if arguments.only in ("", "verify"):
        _verify(bench, LAYERS[arguments.size])
    if arguments.only in ("", "headers"):
        _headers(bench, count)
    return bench.close()


# --- verifying against downloading ----------------------------------------------------------------------------------
@contextlib.contextmanager
def hub(seed: int, layers: int) -> Iterator[str]:
    """The URL of a hub with a base, its fine-tune and a stranger."""
    with tempfile.TemporaryDirectory(prefix="bench-weights-") as folder:
        file = Path(folder, "port")
        command = [sys.executable, "-m", "bench._madeup", "--seed", str(seed), "--layers", str(layers)]
        child = subprocess.Popen([*command, "--port-file", str(file)], cwd=ROOT)
        try:
            until = time.monotonic() + 120
            while not file.exists():
                if child.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("The hub of made-up models did not start.")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{file.read_text().strip()}"
        finally:
            child.terminate()
            child.wait(20)


def _verify(bench: Bench, layers: int) -> None:
    cost, took, downloads, right = [], [], [], 0
    for i, seed in enumerate(SEEDS if not bench.small else SEEDS[:1]):
        with hub(seed, layers) as url:
            stored = {name: sketched(url, name)[0] for name in ("org/base", "org/stranger")}
            began = time.perf_counter()
            child, read, requests = sketched(url, CHILD)
            verdict = judged(child, stored["org/base"])
            took.append(time.perf_counter() - began)
            cost.append(read)
            other = judged(child, stored["org/stranger"])
            right += (verdict == ("confirmed", "finetune")) + (other[0] == "contradicted")
            peers = {"parallel": in_parallel(url)}
            if i == 0:
                peers["huggingface_hub"] = by_library(url)
            downloads.append(min(peers.values()))
            shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in peers.items())
            bench.say(
                f"seed {seed}: {verdict[0]} {verdict[1]} of its base, {other[0]} {other[1]} of the stranger; "
                f"{read:,} bytes in {requests} requests, {took[-1]:.3f} s; whole: {shown}"
            )
    shares = [mine / whole for mine, whole in zip(took, downloads, strict=True)]
    spread = statistics.pstdev
    bench.figure("right verdicts, share", right / (2 * len(cost)), ">= 1")
    bench.figure(
        "bytes of the child, MB", max(cost) / 1e6, f"<= {BYTES / 1e6}", "most of all seeds",
        mean=statistics.mean(cost), sd=spread(cost),
    )  # fmt: skip
    if not bench.small:  # of a model of one layer the download is over before a range is asked for
        seconds, whole = statistics.mean(took), statistics.mean(downloads)
        bench.figure(
            "time over a download", statistics.mean(shares), "<= 0.05",
            f"mean; sd {spread(shares):.4f}; {seconds:.2f} s of {whole:.1f} s",
            sd=spread(shares), seconds=took, downloads=downloads,
        )  # fmt: skip


def sketched(url: str, name: str) -> tuple[Any, int, int]:
    """(the sketch of a model that is known by name alone, as it comes back out of the database; bytes; requests)."""
    from workers.crawling.client import HubClient
    from workers.weights import sketches, sketching
    from workers.weights.opening import open_weights
    from workers.weights.reading import HubSource

    source = HubSource(HubClient(url), name)
    sketch = sketching.sketch(open_weights(source))
    return sketches.loads(sketch.dumps()), source.bytes_read, source.requests


def judged(child: Any, parent: Any) -> tuple[str, str]:
    """(verdict, kinship) of a declared fine-tune."""
    from workers.lineage.records import Relation
    from workers.lineage.verdicts import judge_edge

    verdict = judge_edge(child, parent, Relation.FINETUNE)
    return verdict.verdict.name.lower(), verdict.kinship.name.lower()


def in_parallel(url: str) -> float:
    """Seconds for the whole file by ranges, several at a time, nothing kept."""
    from workers.crawling.client import HubClient

    client = HubClient(url)
    began = time.perf_counter()
    size = {entry["path"]: entry["size"] for entry in client.tree(CHILD)}["model.safetensors"]
    where = client.part(client.file_url(CHILD, "model.safetensors", "main"), 0, 1).url
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = pool.map(
            lambda start: len(client.part(where, start, min(size, start + PIECE)).body), range(0, size, PIECE)
        )
        if sum(parts) != size:
            raise RuntimeError("The download was not whole.")
    return time.perf_counter() - began


def by_library(url: str) -> float:
    """Seconds for the whole file by huggingface_hub's own download, into a folder."""
    folder = tempfile.mkdtemp(prefix="bench-weights-")
    code = (
        "import sys, time; from huggingface_hub import hf_hub_download; b = time.perf_counter(); "
        "hf_hub_download(sys.argv[1], 'model.safetensors', local_dir=sys.argv[2]); print(time.perf_counter() - b)"
    )
    environment = {
        **os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": folder,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    try:
        answer = subprocess.run(
            [sys.executable, "-c", code, CHILD, folder], env=environment, check=True, capture_output=True, text=True
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return float(answer.stdout)


# --- changed headers ------------------------------------------------------------------------------------------------
def _headers(bench: Bench, count: int) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "bench.weights", "--part", "headers", "--count", str(count)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(answer.stdout)
    bench.say(
        f"{told['count']:,} changed headers of {told['kinds']} files ({told['gguf']:,} of them GGUF): "
        f"{told['refused']:,} refused, {told['taken']:,} taken, in {told['seconds']:.0f} s"
    )
    bench.figure("crashes", told["crashes"], "== 0", told["first"])
    bench.figure("taken against the library", told["wrongly"], "== 0", "taken here, refused by safetensors")
    bench.figure("highest memory, MB", told["megabytes"], f"< {MEMORY}".replace("<", "<="))
    bench.figure("slowest header, s", told["slowest"], f"<= {LIMIT}")


def seeds() -> list[tuple[str, bytes, int]]:
    """(format, header with what stands before it, bytes of tensors) of real files and of a large one."""
    from bench._madeup import Model

    found = []
    folders = [ROOT / "samplehub" / "collection" / "repos", ROOT.parent / "shared" / "data" / "adapters"]
    for path in sorted(path for folder in folders if folder.exists() for path in folder.rglob("*.safetensors")):
        data = path.read_bytes()
        head = 8 + int.from_bytes(data[:8], "little")
        found.append(("safetensors", data[:head], len(data) - head))
    for path in sorted(folders[0].rglob("*.gguf")):
        data = path.read_bytes()
        found.append(("gguf", data[:40_000], len(data) - 40_000))
    large = Model(1, 0, 22)
    found.append(("safetensors", large.header, large.size - len(large.header)))
    return found


BITS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b" ", b"\0", b"\xff", b"\xc3\x28", b"\\u0000", b"\\ud800"),
    *(b"NaN", b"Infinity", b"null", b"true", b"-1", b"1e99", b"0.5", b"9" * 40, b"18446744073709551616"),
    *(
        b"../../",
        b'"__metadata__":{',
        b'"dtype":"F32"',
        b'"shape":[0,9999999999]',
        b'"shape":[' + b"1," * 5_000 + b"1]",
    ),
    *(b"[" * 5_000, b'{"a":' * 5_000, b"\xff" * 8, b"\0" * 8, b"\0\0\0\0\0\0\0\x80", b"\x09\0\0\0\x09\0\0\0"),
)
BLOWN = 6_000_000  # bytes that a change adds at most


def changed(data: bytes, dice: random.Random, form: str) -> bytes:
    """The header with one to five changes; at times it is blown up by some megabytes."""
    raw = bytearray(data)
    if form == "safetensors":
        length, raw = int.from_bytes(raw[:8], "little"), raw[8:]
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(len(raw)) if raw else 0
        how = dice.random()
        if how < 0.25:
            raw[at : at + 1] = bytes([dice.randrange(256)])
        elif how < 0.5:
            raw[at:at] = dice.choice(BITS)
        elif how < 0.6:
            del raw[at : at + dice.choice((1, 2, 8, 100, 10_000))]
        elif how < 0.75:
            other = dice.randrange(len(raw) or 1)
            raw[at:at] = raw[other : other + dice.randrange(200)]
        elif how < 0.9:
            piece = dice.choice(BITS)
            raw[at : at + len(piece)] = piece
        elif how < 0.995:
            digits = [i for i in range(at, min(len(raw), at + 300)) if 48 <= raw[i] <= 57]
            for i in digits[: dice.randint(1, 3)]:
                raw[i] = 48 + dice.randrange(10)
        else:
            piece = dice.choice(BITS)
            raw[at:at] = piece * (dice.randrange(BLOWN) // len(piece))
    if form == "safetensors":
        lie = dice.choice((len(raw), len(raw), len(raw), len(raw) + 1, length, 0, 2**63, dice.randrange(2**20)))
        return lie.to_bytes(8, "little") + bytes(raw)
    return bytes(raw)


def changed_headers(count: int) -> dict[str, Any]:
    """Read so many changed headers, in this process; what came of them."""
    import safetensors

    from workers.errors import BadWeights
    from workers.weights import gguf, headers

    kinds = seeds()
    of_gguf = [kind for kind in kinds if kind[0] == "gguf"]
    dice = random.Random(7)
    told: dict[str, Any] = {"count": count, "kinds": len(kinds), "gguf": 0, "refused": 0, "taken": 0, "crashes": 0}
    told |= {"wrongly": 0, "first": "", "slowest": 0.0}
    began = time.perf_counter()
    for _ in range(count):
        form, head, body = dice.choice(kinds if dice.random() < 0.7 else of_gguf)
        data = changed(head, dice, form)
        size = len(data) + body
        told["gguf"] += form == "gguf"
        at = time.perf_counter()
        try:
            if form == "gguf":
                gguf.read_header("m", size, data[:4_096], lambda a, b, data=data: _padded(data, a, b))
            else:
                length = headers.header_length(data[:8], file="m", size=size)
                text = data[8 : 8 + length]
                headers.parse(text + b" " * (length - len(text)), file="m", size=size)
                told["wrongly"] += body < 4_000_000 and _refused_by_library(safetensors, data, length, body)
            told["taken"] += 1
        except BadWeights:
            told["refused"] += 1
        except Exception as error:  # what the figure counts
            told["crashes"] += 1
            told["first"] = told["first"] or f"{type(error).__name__}: {error}"[:200]
        told["slowest"] = max(told["slowest"], time.perf_counter() - at)
    told["seconds"] = time.perf_counter() - began
    told["megabytes"] = _highest_memory()
    return told


def _highest_memory() -> float:
    """MB that this process has held at most; getrusage would count what its parent held when it was started."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _padded(data: bytes, start: int, stop: int) -> bytes:
    """Bytes of a file that goes on with zeros after its header."""
    part = data[start:stop]
    return part + bytes(stop - start - len(part))


def _refused_by_library(safetensors: Any, data: bytes, length: int, body: int) -> bool:
    try:
        safetensors.deserialize(data + bytes(body))
    except safetensors.SafetensorError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
