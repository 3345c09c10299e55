"""Trains several networks side by side on one machine, judges them, and packs what came of it in pieces that travel.

    python scripts/train_weights.py -o runs configs/swift.toml@8 configs/cyclegan.toml@4
    python scripts/train_weights.py -o runs --minutes 9 configs/despeckler.toml,configs/ablations/single-level-1.toml@2

Each argument is a chain: configurations separated by commas, trained one after the other, all chains at the same time;
@N gives the trainings of a chain N processes that draw batches. A run's folder is named after its configuration.
Whatever still trains after --minutes is told to stop and keeps its best weights so far. `--evaluate` compares the
stainers on the H&E that they are validated on. OUT/pieces holds weights, cards and records of all runs;
`cat OUT/pieces/* | tar -x` puts them back.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tomllib
from pathlib import Path

PIECE = 16_000_000  # bytes
PACKED = ("config.toml", "run.json", "metrics.jsonl", "weights.safetensors", "network.onnx", "card.json")


def main() -> int:
    """Train, evaluate, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("chains", nargs="+", metavar="CONFIG[,CONFIG...][@N]")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the runs")
    parser.add_argument("--minutes", type=float, help="after which trainings are told to stop")
    parser.add_argument("--evaluate", action="store_true", help="compare the stainers, too")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes if options.minutes else None
    chains = [Chain(argument, options.output, end) for argument in options.chains]
    for chain in chains:
        chain.start()
    for chain in chains:
        chain.join()
    runs = [run for chain in chains for run in chain.done]
    if options.evaluate:
        evaluate([run for run in runs if not is_despeckler(run / "config.toml")], options.output / "report")
    pack(runs, options.output / "pieces")
    failed = [run.name for chain in chains for run in chain.failed]
    print(f"{len(runs)} trained" + (f"; failed: {', '.join(failed)}, see their .log" if failed else ""))
    return bool(failed)


class Chain(threading.Thread):
    """Configurations trained one after the other; one that fails does not keep the next from its turn."""

    def __init__(self, argument: str, out: Path, end: float | None) -> None:
        super().__init__()
        configs, _, workers = argument.partition("@")
        self.configs, self.workers = [Path(name) for name in configs.split(",")], workers or "0"
        self.out, self.end = out, end
        self.done: list[Path] = []
        self.failed: list[Path] = []

    def run(self) -> None:
        """Train all, as long as there is time."""
        for config in self.configs:
            if self.end is None or time.monotonic() < self.end:
                run = self.out / config.stem
                begin = time.monotonic()
                is_done = self.train(config, run) == 0
                (self.done if is_done else self.failed).append(run)
                print(f"{run.name}: {'done' if is_done else 'failed'}, {time.monotonic() - begin:.0f} s", flush=True)

    def train(self, config: Path, run: Path) -> int:
        """Train one in a process of its own, until it is done or the time is over."""
        kind = "despeckler" if is_despeckler(config) else "stainer"
        command = [sys.executable, "-m", "confostain.cli", "train", kind, "--config", str(config), "-o", str(run)]
        self.out.mkdir(parents=True, exist_ok=True)
        with run.with_name(run.name + ".log").open("w") as log:
            training = subprocess.Popen([*command, "--workers", self.workers], stdout=log, stderr=log)
            try:
                return training.wait(None if self.end is None else max(0.0, self.end - time.monotonic()))
            except subprocess.TimeoutExpired:
                training.send_signal(signal.SIGINT)
                return training.wait()


def is_despeckler(config: Path) -> bool:
    """Whether a configuration is that of a despeckler: stainers have stages."""
    return "stages" not in tomllib.loads(config.read_text())


def evaluate(runs: list[Path], report: Path) -> None:
    """Compare stainers on what the first of them was validated on."""
    if not runs:
        return
    unseen = tomllib.loads((runs[0] / "config.toml").read_text())["data"]["validate"]
    models = [word for run in runs for word in ("--model", str(run))]
    command = [sys.executable, "-m", "confostain.cli", "evaluate", "stainer", "--histology", *unseen, *models]
    subprocess.run([*command, "-o", str(report)], check=True)


def pack(runs: list[Path], folder: Path) -> None:
    """Everything that came of the runs, in files of at most PIECE bytes."""
    folder.mkdir(exist_ok=True)
    whole = folder / "all.tar"
    with tarfile.open(whole, "w") as tar:
        for file in (run / name for run in runs for name in PACKED):
            if file.exists():
                tar.add(file, file.relative_to(folder.parent))
    with whole.open("rb") as file:
        for number, piece in enumerate(iter(lambda: file.read(PIECE), b"")):
            (folder / f"all.tar.{number:03d}").write_bytes(piece)
    whole.unlink()


if __name__ == "__main__":
    sys.exit(main())
