"""The training loop of despecklers and stainers: batch, losses, step, log, validate, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from confostain.arrays import Image, Progress
from confostain.data.loader import batch_loader
from confostain.errors import ConfigError
from confostain.training.run import DAMAGED, Run, load_checkpoint, save_checkpoint
from confostain.training.validation import Evaluation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from confostain.training.despeckler_config import DespecklerConfig
    from confostain.training.stainer_config import StainerConfig


class Trainer(Protocol):
    """The networks of one training, their data and their state."""

    @property
    def config(self) -> DespecklerConfig | StainerConfig:
        """Its settings."""

    @property
    def fabric(self) -> Fabric:
        """The devices it runs on."""

    def draw(self, step: int) -> tuple[Image, ...]:
        """The batch of a step, counted from 0: a pure function of the step, called in any process."""

    def train_step(self, batch: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """One step of all networks; values to log."""

    def validate(self) -> Evaluation:
        """Measures of the network as it is, and a picture."""

    def network(self) -> nn.Module:
        """The network to be kept if the training ended now."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; "average" holds the averaged weights by name."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""


def train(trainer: Trainer, run: Run, progress: Progress | None = None, workers: int = 0) -> int:
    """Train from the last checkpoint of the run, if there is one, to the last step.

    Args:
        trainer: what is trained.
        run: where it is logged and saved.
        progress: called after each step.
        workers: processes that draw batches ahead; the outcome does not depend on it.

    Returns:
        The steps done: all, unless it was interrupted (Ctrl-C) after the first checkpoint.

    Raises:
        ConfigError: the checkpoint is damaged or of another training, or the training diverges.
        OptionError: see `batch_loader`.
    """
    config, fabric = trainer.config, trainer.fabric
    first = _restored(trainer, run) if run.resume and run.checkpoint.exists() else 0
    if fabric.is_global_zero:
        run.rewind(first)
    batches = batch_loader(trainer.draw, range(first, config.steps), workers, pinned=fabric.device.type == "cuda")
    done = first
    try:
        for done, batch in enumerate(batches, first + 1):
            values = trainer.train_step(batch, done - 1)
            if fabric.is_global_zero and (done % config.log_every == 0 or done == 1):
                run.log(done, {name: float(value.detach()) for name, value in values.items()})
            if done % config.validate_every == 0 or done == config.steps:
                _check_weights(trainer.state_dict()["average"], done)
                if fabric.is_global_zero:
                    measures, picture = trainer.validate()
                    run.log(done, {f"validation/{name}": value for name, value in measures.items()})
                    run.sample(done, picture)
                save_checkpoint(fabric, run.checkpoint, trainer.state_dict() | {"step": done})
            if progress is not None:
                progress(done, config.steps)
    except KeyboardInterrupt:
        if not run.checkpoint.exists():
            raise
    return done


def _check_weights(average: Mapping[str, Tensor], step: int) -> None:
    """Refuse weights with NaN or infinity: nothing of them can be trained further, or must be kept."""
    if not all(value.isfinite().all() for value in average.values()):
        raise ConfigError(
            f"step {step}: the weights are no longer finite numbers; expected a training that converges; lower its"
            " learning_rate and begin again"
        )


def _restored(trainer: Trainer, run: Run) -> int:
    """Go back to the checkpoint of a run; the steps done until then."""
    state = load_checkpoint(run.checkpoint, trainer.config.steps)
    try:
        trainer.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{run.checkpoint}: the checkpoint of another training or version; {DAMAGED}") from error
    return int(state["step"])
