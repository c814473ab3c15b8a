"""Second stage of the published form: the root's velocity from the lower body's codes.

Source: Siyao et al., Bailando, CVPR 2022, section 3.2 (global velocity branch): v_t = p_{t+1} - p_t,
integrated by pos_0 = 0, pos_t = pos_{t-1} + v_{t-1}. Everything but the branch stays as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bailando.errors import ConfigError
from bailando.models.vqvae import PoseVQVAE
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, Segment
from bailando.training.distributed import my_share
from bailando.training.loop import autocast, pick_device
from bailando.training.representation import joint_positions, published_pose
from bailando.training.vqvae_stage import PoseWindows

NAME = "root"
_ROAD_FRAMES = 240


class RootStage:
    """The stage as `Trainer` runs it.

    Parameters
    ----------
    config, dataset
        What to train, on what.
    lower
        The lower body's trained VQ-VAE; its ``root_decoder`` is trained in place.

    Raises
    ------
    ConfigError
        If it has no root decoder or the configuration no such stage.
    """

    name = NAME
    patience = 0

    def __init__(self, config: TrainConfig, dataset: Dataset, lower: PoseVQVAE) -> None:
        if config.root is None or lower.root_decoder is None:
            raise ConfigError("the configuration has no root branch: use the preset 'paper' or a copy of it")
        self.config = config
        self.optimiser = config.root.optimiser
        self.evaluate_every = config.root.evaluate_every
        self.save_every = config.root.save_every
        self.device = pick_device(config)
        self.lower = lower.to(self.device).requires_grad_(False)
        self.branch = lower.root_decoder.requires_grad_(True)
        self.dataset = dataset
        self.windows = PoseWindows(
            dataset, "train", config.root.window_frames, lambda segment: pose_and_velocity(dataset, segment)
        )

    @property
    def model(self) -> nn.Module:
        """The branch alone."""
        return self.branch

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch and return the L1 of velocity and acceleration, millimetres per frame."""
        pose, velocity = self.windows.draw(self.optimiser.batch_size, generator)
        error = 1000 * (self._decode(my_share(pose)) - my_share(velocity).to(self.device))
        losses = {"velocity": error.abs().mean(), "acceleration": error.diff(dim=1).abs().mean()}
        return {"total": losses["velocity"] + losses["acceleration"], **losses}

    def evaluate(self) -> dict[str, float]:
        """Return the held-out velocity error (``score``, mm a frame) and how far four seconds lead astray."""
        velocities, roads = [], []
        size = self.lower.config.frames_per_code
        for segment in self.dataset.of("held_out") or self.dataset.of("train"):
            kept = segment.frames // size * size
            pose, velocity = pose_and_velocity(self.dataset, segment)
            wanted = torch.from_numpy(np.array(velocity[:, :kept])).to(self.device)
            error = self._decode(torch.from_numpy(np.array(pose[:, :kept]))) - wanted
            velocities.append(1000 * error.abs().mean())
            parts = [error[:, start : start + _ROAD_FRAMES] for start in range(0, kept, _ROAD_FRAMES)]
            roads += [1000 * torch.linalg.vector_norm(part.sum(dim=1), dim=-1).mean() for part in parts]
        return {"score": float(torch.stack(velocities).mean()), "road_mm": float(torch.stack(roads).mean())}

    def _decode(self, pose: Tensor) -> Tensor:
        """Return velocities ``[B, T, 3]``, metres a frame, from the codes of poses ``[B, T, 27]``."""
        with torch.no_grad():
            codes = self.lower.encode(pose.to(self.device))
        with autocast(self.config, self.device):
            return self.lower.decode_root(codes).float()


def pose_and_velocity(
    dataset: Dataset, segment: Segment
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return lower poses (2, T, 27) and root velocities (2, T, 3), metres per frame; the last one repeats."""
    joints = joint_positions(dataset, segment)
    velocity = np.diff(joints[:, :, 0], axis=1)
    return published_pose(joints)[1], np.concatenate([velocity, velocity[:, -1:]], axis=1)
