"""The training of a despeckler, told from top to bottom in `train_despeckler`."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from confostain.arrays import Grey, Image, Progress
from confostain.data.loader import batch_loader
from confostain.data.noisy_patches import HistologyData, NoiseRange, NoisyPatches, read_inverted
from confostain.errors import ConfigError
from confostain.models.build import load_weights
from confostain.models.export import save_model
from confostain.networks.despeckler import DespecklerDesign, build_despeckler
from confostain.networks.discriminator import PatchDiscriminator
from confostain.training import ema, losses
from confostain.training.run import Precision, Run, commit, launched, load_config

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOSSES = {"squared": losses.squared_error, "decibel": losses.decibel_error}
VALIDATION_SEED = 2019


@dataclass(frozen=True)
class DespecklingConfig:
    """Everything that decides a training; read from TOML, with [data], [design] and [noise] as tables."""

    data: HistologyData
    design: DespecklerDesign = field(default_factory=DespecklerDesign)
    noise: NoiseRange = field(default_factory=NoiseRange)
    seed: int = 2019
    steps: int = 1000
    batch: int = 8  # patches per step and device
    patch: int = 128  # px
    learning_rate: float = 5e-4
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: a short rise, then down to zero
    loss: Literal["squared", "decibel"] = "squared"
    total_variation: float = 0.0  # weight of that term
    adversarial: float = 0.0  # weight of that term
    averaging: float = 0.999  # of the weights over the steps; the average is what is kept
    precision: Precision = "32-true"
    start: str | None = None  # safetensors to begin with instead of fresh weights
    record_every: int = 10  # steps
    look_every: int = 500  # steps between validations, sample pictures and checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        stride = build_despeckler(self.design).stride
        if self.patch % stride or min(self.patch, self.batch, self.steps, self.record_every, self.look_every) < 1:
            raise ConfigError(
                f"patch {self.patch}, batch {self.batch}, steps {self.steps}, record_every {self.record_every}, "
                f"look_every {self.look_every}: expected positive numbers, and a patch that {stride} divides"
            )


def train_despeckler(
    config_file: Path, folder: Path, resume: bool = False, progress: Progress | None = None, workers: int = 0
) -> int:
    """Train a despeckling network; the run's folder holds its weights in the end, also if it is interrupted (Ctrl-C).

    Args:
        config_file: TOML, see `DespecklingConfig`.
        folder: where the run is kept; must not hold one, unless `resume`.
        resume: go on from the last checkpoint, to the same result as without the break.
        progress: called after each step.
        workers: processes that draw batches ahead; the outcome does not depend on it.

    Returns:
        The steps done: all, unless it was interrupted.

    Raises:
        ConfigError, OutputError, SlideError, OptionError: see `load_config`, `Run`, `read_inverted` and `batch_loader`.
    """
    config = load_config(config_file, DespecklingConfig)
    fabric = launched(config.seed, config.precision)
    with fabric.rank_zero_first():  # the first process makes the folder, the others join
        run = Run(folder, config_file, resume or not fabric.is_global_zero)
    if fabric.is_global_zero:
        run.describe({"seed": config.seed, "devices": fabric.world_size, "device": str(fabric.device)})
    train, validate = (
        read_inverted(files, config.data.microns_per_pixel) for files in (config.data.train, config.data.validate)
    )
    patches = NoisyPatches(train, config.noise, config.patch, config.batch)
    player = _Player(config, fabric)
    first = player.load(run.checkpoint) if resume and run.checkpoint.exists() else 0
    if fabric.is_global_zero:
        run.rewind(first)

    def drawn(step: int) -> tuple[Image, Image]:
        return patches.draw((config.seed, step, fabric.global_rank))

    batches = batch_loader(drawn, range(first, config.steps), workers, pinned=fabric.device.type == "cuda")
    done = first
    try:
        for done, batch in enumerate(batches, first + 1):
            noisy, clean = map(player.tensor, batch)
            values = player.step(noisy, clean, done - 1)
            look = done % config.look_every == 0 or done == config.steps
            if fabric.is_global_zero and (done % config.record_every == 0 or done == 1):
                run.record(done, {name: float(value.detach()) for name, value in values.items()})
            if fabric.is_global_zero and look:
                psnr, picture = player.look(validate)
                run.record(done, psnr)
                run.sample(done, picture)
            if look:
                player.save(run.checkpoint, done)
            if progress is not None:
                progress(done, config.steps)
    except KeyboardInterrupt:
        if not run.checkpoint.exists():
            raise

    run.close()
    if fabric.is_global_zero:
        facts = {"kind": "despeckler", "input": "reflectance", "commit": commit()}
        settings = asdict(config)
        save_model(player.average, folder, {**facts, "design": settings.pop("design"), "config": settings})
    return done


def _rate(config: DespecklingConfig, step: int) -> float:
    if config.schedule == "constant":
        return config.learning_rate
    rise = min(1.0, (step + 1) / max(1, min(100, config.steps // 10)))
    return config.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


class _Player:
    """The networks and their optimizers, on whatever devices there are."""

    def __init__(self, config: DespecklingConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        self.bare = build_despeckler(config.design)
        if config.start is not None:
            load_weights(self.bare, Path(config.start))
        # channels last is the layout in which processors with bfloat16 convolve fastest
        self.bare.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.bare).to(fabric.device).eval()
        self.network, self.optimizer = self._prepared(self.bare)
        self.critic: Any = None
        if config.adversarial:
            self.critic, self.critic_optimizer = self._prepared(PatchDiscriminator())

    def _prepared(self, network: torch.nn.Module) -> tuple[Any, Any]:
        is_cuda = self.fabric.device.type == "cuda"
        optimizer = torch.optim.Adam(network.parameters(), lr=self.config.learning_rate, fused=is_cuda)
        return self.fabric.setup(network, optimizer)

    def tensor(self, images: Tensor) -> Tensor:
        """On the device, in the layout the networks like."""
        moved: Tensor = self.fabric.to_device(images)
        return moved.contiguous(memory_format=torch.channels_last)

    def step(self, noisy: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        """One step down the gradient; what there is to record."""
        config, rate = self.config, _rate(self.config, step)
        self.network.train()
        made = self.network(noisy)
        loss = LOSSES[config.loss](made, clean)
        values = {"loss": loss.detach()}
        if config.total_variation:
            loss = loss + config.total_variation * losses.total_variation(made)
        if self.critic is not None:
            values["generator_loss"] = losses.generator_loss(self.critic(made))
            loss = loss + config.adversarial * values["generator_loss"]
        self._descend(self.optimizer, loss, rate)
        if self.critic is not None:
            values["discriminator_loss"] = losses.discriminator_loss(self.critic(clean), self.critic(made.detach()))
            self._descend(self.critic_optimizer, values["discriminator_loss"], rate)
        ema.update(self.average, self.bare, config.averaging, step)
        return values

    def _descend(self, optimizer: Any, loss: Tensor, rate: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()  # also what the other network's loss has left
        self.fabric.backward(loss)
        optimizer.step()

    @torch.no_grad()
    def look(self, slides: list[Grey]) -> tuple[dict[str, float], npt.NDArray[np.uint8]]:
        """PSNR in dB on the same 16 patches each time, and a picture: noisy, made, clean."""
        config = self.config
        side = max(config.patch, 192)
        patches = NoisyPatches(slides, config.noise, side, 16).draw((VALIDATION_SEED,))
        noisy, clean = (self.tensor(torch.from_numpy(images)) for images in patches)
        with self.fabric.autocast():
            made = torch.cat([self.average(part) for part in torch.split(noisy, 4)])
        psnr = -10 * torch.log10((made - clean).square().mean(dim=(1, 2, 3))).mean()
        rows = [torch.cat([image[index, 0] for image in (noisy, made, clean)], dim=1) for index in range(4)]
        picture = (torch.cat(rows).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return {"psnr": float(psnr)}, picture

    def _state(self) -> dict[str, Any]:
        state = {"network": self.network, "optimizer": self.optimizer, "average": self.average}
        if self.critic is not None:
            state |= {"critic": self.critic, "critic_optimizer": self.critic_optimizer}
        return state

    def save(self, path: Path, step: int) -> None:
        """Everything needed to go on, there complete or not at all."""
        part = path.with_name(path.name + ".part")
        self.fabric.save(part, self._state() | {"step": step})  # called by all processes, done by the first
        if self.fabric.is_global_zero:
            part.replace(path)

    def load(self, path: Path) -> int:
        """Go back to a checkpoint; the step after which it was saved."""
        rest = self.fabric.load(path, self._state())
        return int(rest["step"])
