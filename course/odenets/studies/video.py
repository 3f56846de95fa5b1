"""Video prediction with InImNet at any size: rotating digits and bouncing balls.

    python -m odenets.studies.video --out results
    python -m odenets.studies.video coupled --seeds 0 --out results
    python -m odenets.studies.video --tag mine --tasks rotating --width 80 --out results

The first command makes what notebook 10 shows, the second one a part of it, and the
third one trains other settings. An interrupted run goes on from its checkpoint. See
`odenets.studies.study`.

Notebook 10 calls the same functions with smaller numbers.
"""

import copy
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odenets import training
from odenets.data import images, video
from odenets.data.affine import rotations, warp
from odenets.nets.inimnet import ConvVideoInImNet, VideoInImNet
from odenets.studies import study
from odenets.studies.study import Row, Study

# ------------------------------------------------------------------ the tasks


@dataclass(frozen=True)
class Task:
    """What is predicted from what.

    Attributes:
        n_frames: length of a video.   n_context: frames that the model sees.
        targets: frames that may be trained on.   scored: frames that are scored.
        held_out: a frame that is never trained on, or None.
        n_random: other frames dropped from each video and step, anew each time.
        n_draw: where no frame is held out, train on so many targets per video and step.
        size: height and width.   period: time after which all comes back, or 0.
    """

    name: str
    n_frames: int
    n_context: int
    targets: tuple[int, ...]
    scored: tuple[int, ...]
    held_out: int | None
    n_random: int
    n_draw: int
    size: int
    period: float = 0.0

    def times(self, frames: Tensor) -> Tensor:
        """Return the time of each frame index, from 0 for the first to 1."""
        return frames / (self.n_frames - 1)


TASKS = {
    task.name: task
    for task in (
        Task("rotating", 16, 1, tuple(range(16)), (4,), 4, 3, 12, 28, 16 / 15),
        Task("balls", 20, 3, tuple(range(3, 13)), tuple(range(3, 13)), None, 0, 6, 32),
    )
}


def rotating_videos(
    source: str = "digits", digit: int = 3, n_train: int = 500, n_test: int = 542
) -> tuple[Tensor, Tensor]:
    """Return rotating digits of one class: the first `n_train`, the next `n_test`.

    The digits of scikit-learn get a margin of 4 pixels, as those of MNIST have one, so
    that a turn does not cut them off.

    Args:
        source: "digits" or "mnist", training images first, then test images.
    Raises:
        ValueError: if there are fewer images of that class.
    """
    data = images.digits(20) if source == "digits" else images.load(source)
    labels = torch.cat([data.train.labels, data.test.labels])
    chosen = torch.cat([data.train.images, data.test.images])[labels == digit, 0]
    if len(chosen) < n_train + n_test:
        raise ValueError(f"{source} has only {len(chosen)} images of a {digit}")
    if source == "digits":
        chosen = F.pad(chosen, (4, 4, 4, 4))
    videos = video.rotating_digits(chosen[: n_train + n_test])
    return videos[:n_train], videos[n_train:]


def balls_videos(
    n_train: int = 10_000, n_test: int = 500, seed: int = 0, n_balls: int = 3
) -> tuple[Tensor, Tensor]:
    """Return videos of bouncing balls for training and, other ones, for testing."""
    generator = torch.Generator().manual_seed(seed)
    videos = video.bouncing_balls(
        n_train + n_test, n_balls=n_balls, generator=generator
    )
    return videos[:n_train], videos[n_train:]


# ------------------------------------------------------------------ training


@dataclass(frozen=True)
class Settings:
    """How a model is built and trained.

    Attributes:
        latent_dim, width, depth, coupled, n_layers, channels, variant, activation,
            dense_decoder: of the model.
        convolutional: no code, the state is a film.
            Of the above `depth`, `coupled`, `variant`, `activation` and `channels`,
            those of the hidden layer, count.
        loss: "all" depths or the "deepest" only.
        batch: videos per step.
        steps: optimiser steps.
        lr: highest learning rate.
        weight_decay: of AdamW.
        decay: of the running mean of the weights.
        augment, tilt: deform training videos; see `deform_digits`, `turn_boxes`.
        clock: time runs on a circle where the task is periodic.
        minutes: stop and finish the schedule by then; None for no limit.
    """

    latent_dim: int = 20
    width: int = 40
    depth: int = 4
    coupled: bool = False
    n_layers: int = 2
    channels: int = 16
    variant: str = "exact"
    activation: str = "tanh"
    dense_decoder: int = 0
    convolutional: bool = False
    loss: str = "all"
    batch: int = 25
    steps: int = 10_000
    lr: float = 1e-3
    weight_decay: float = 1e-4
    decay: float = 0.998
    augment: float = 0.0
    tilt: float = 0.0
    clock: bool = True
    seed: int = 0
    minutes: float | None = None


FULL = {
    "rotating": Settings(augment=0.1),
    "balls": Settings(
        latent_dim=64,
        width=256,
        depth=3,
        n_layers=3,
        channels=32,
        batch=50,
        steps=15_000,
        augment=1.0,
    ),
}
"""The full-size settings of each task."""

LESSON = Settings(
    latent_dim=16,
    width=32,
    coupled=True,
    channels=8,
    dense_decoder=256,
    batch=8,
    steps=1200,
    lr=3e-3,
    decay=0.98,
    augment=0.1,
)
"""The settings of the lesson for rotating digits."""


def build(task: Task, settings: Settings) -> nn.Module:
    """Return an untrained model."""
    s = settings
    if s.convolutional:
        return ConvVideoInImNet(
            task.n_context, s.depth, s.coupled, s.channels, s.variant, s.activation
        )
    sizes = s.latent_dim, s.width, s.depth, s.coupled, s.n_layers, s.channels
    period = task.period if s.clock else 0.0
    rest = s.variant, period, s.dense_decoder, s.activation
    return VideoInImNet(task.n_context, task.size, *sizes, *rest)


def draw_frames(task: Task, n_videos: int, generator: torch.Generator) -> Tensor:
    """Draw the frames to train on, `(n_videos, k)`; the held-out one never comes."""
    if task.held_out is not None:
        masks = [
            video.frame_mask(task.n_frames, task.held_out, task.n_random, generator)
            for _ in range(n_videos)
        ]
        return torch.stack([mask.nonzero()[:, 0] for mask in masks])
    scores = torch.rand(n_videos, len(task.targets), generator=generator)
    chosen = scores.topk(task.n_draw, dim=1).indices
    return torch.tensor(task.targets)[chosen]


def deform_digits(
    videos: Tensor, settings: Settings, generator: torch.Generator
) -> Tensor:
    """Return videos of stretched and slanted digits, made from those of digits.

    A digit d(x) becomes d(A x), where A is 1 + a symmetric random matrix of the size
    `augment`, after a turn by up to `tilt` frames to either side; frame k, which shows
    the digit turned by R_k, is therefore read at R_k^-1 A R_k x. Each frame is made
    from the same frame, so no pixel of a held-out frame gets into another one; with a
    tilt of at most 1/2 no frame reaches half-way to the angle of the next one. Half of
    the videos stay as they are.
    """
    n, n_frames = videos.shape[:2]
    noise = settings.augment * torch.randn(n, 2, 2, generator=generator)
    turn = settings.tilt * (2 * torch.rand(n, generator=generator) - 1)
    A = rotations(turn * 2 * torch.pi / n_frames)
    A = (A @ (torch.eye(2) + (noise + noise.mT) / 2))[:, None]
    keep = torch.rand(n, generator=generator) < 0.5
    A[keep] = torch.eye(2)
    R = rotations(2 * torch.pi * torch.arange(n_frames) / n_frames)
    maps = (R.mT @ A @ R).flatten(0, 1)
    return warp(videos.flatten(0, 1), maps).view_as(videos)


def turn_boxes(
    videos: Tensor, settings: Settings, generator: torch.Generator
) -> Tensor:
    """Return videos in boxes that are mirrored or turned by quarters.

    The laws of motion do not change by it: eight videos come out of one.
    """
    choice = torch.randint(2, (3, len(videos)), generator=generator).bool()
    for chosen, change in zip(
        choice.to(videos.device),
        (lambda v: v.flip(-1), lambda v: v.flip(-2), lambda v: v.mT),
    ):
        videos = torch.where(chosen[:, None, None, None], change(videos), videos)
    return videos


AUGMENT = {"rotating": deform_digits, "balls": turn_boxes}


LOSSES = "all", "deepest"
"""The depths that the loss looks at."""


def training_loss(
    model: nn.Module, task: Task, videos: Tensor, frames: Tensor, loss: str = "all"
) -> Tensor:
    """Return the mean squared error per pixel over the depths and the given frames.

    Only the given frames are predicted and only they are compared: from any other
    frame, except those that the encoder sees, no gradient and no statistics come.

    Args:
        videos: `(s, n_frames, size, size)`.   frames: indices `(s, k)`.
        loss: a name in `LOSSES`.
    Raises:
        ValueError: if there is no such loss.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss {loss!r} is not one of {LOSSES}")
    context = videos[:, : task.n_context]
    rows = torch.arange(len(videos), device=videos.device)[:, None]
    predicted = model(context, task.times(frames), deepest=loss == "deepest")
    return (predicted - videos[rows, frames]).square().mean()


@torch.no_grad()
def errors(
    model: nn.Module,
    task: Task,
    videos: Tensor,
    frames: Sequence[int] | None = None,
    depth: int | None = None,
    batch: int = 100,
) -> Tensor:
    """Return the mean squared error per pixel by depth and frame, `(depth + 1, k)`."""
    frames = task.scored if frames is None else frames
    chosen = torch.tensor(frames, device=videos.device)
    total = torch.zeros((), dtype=torch.float64)  # on the CPU: not every GPU has them
    for part in videos.split(batch):
        t = task.times(chosen).expand(len(part), -1)
        predicted = model(part[:, : task.n_context], t, depth).float()
        wrong = (predicted - part[:, chosen]).square().mean(dim=(-1, -2))
        total = total + wrong.cpu().double().sum(dim=1)
    return total / len(videos)


@dataclass
class Result:
    """A trained model (its running mean of the weights) and how it came about."""

    model: nn.Module
    history: list[tuple[int, float]]
    seconds: float


def train(
    task: Task,
    settings: Settings,
    videos: Tensor,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    test: Tensor | None = None,
    desc: str = "training",
    model: nn.Module | None = None,
) -> Result:
    """Train with AdamW, a cosine schedule and a running mean of the weights.

    Args:
        videos: training videos, on any device.
        checkpoint: gone on from when it exists, bit for bit; written every 250 steps
            (of the greatest number that divides both 250 and all steps).
        test: scored now and then, only to print; nothing is chosen by it.
        model: trained in place of the one that `build` makes.
    """
    training.set_seed(settings.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    model = (build(task, settings) if model is None else model).to(device)
    mean = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    videos = videos.to(device)
    history: list[tuple[int, float]] = []
    limit = 60 * settings.minutes if settings.minutes else math.inf
    start, spent = time.monotonic(), 0.0

    def rate(step: int) -> float:
        return schedule(max(step / settings.steps, spent / limit))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(videos), (settings.batch,), generator=generator)
        frames = draw_frames(task, settings.batch, generator)
        batch = videos[rows.to(device)]
        if settings.augment or settings.tilt:
            batch = AUGMENT[task.name](batch, settings, generator)
        return batch, frames.to(device)

    def batch_loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return training_loss(model, task, *batch, loss=settings.loss)

    def after_step(_: nn.Module) -> None:
        nonlocal spent
        spent = time.monotonic() - start
        # Early on the mean forgets faster, so that the first weights do not stay in it.
        step = scheduler.last_epoch
        keep = min(settings.decay, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(mean.parameters()), list(model.parameters()), 1 - keep
            )

    every = math.gcd(settings.steps, 250)
    batches = study.Draws(draw, every, settings.seed)
    kept = model, optimizer, scheduler, batches, {"mean": mean}
    if checkpoint is not None and checkpoint.exists():
        state = training.load_checkpoint(checkpoint)
        training.restore_training_state(state, *kept)
        history, spent = [tuple(entry) for entry in state["history"]], state["spent"]
        start -= spent
    step = training.Step(
        model,
        None,
        optimizer,
        batch_loss=batch_loss,
        scheduler=scheduler,
        clip=1.0,
        after_step=after_step,
        capture=True,
    )
    with training.progress(None, desc, settings.steps) as bar:
        bar.update(scheduler.last_epoch)
        while scheduler.last_epoch < settings.steps and spent < limit:
            in_time = itertools.takewhile(lambda _: spent < limit, batches)
            loss = step.epoch(in_time)
            history.append((scheduler.last_epoch, loss))
            bar.update(every)
            if test is not None and scheduler.last_epoch % 1000 == 0:
                scores = errors(mean, task, test.to(device)).mean(dim=1)
                text = " ".join(f"{score:.4f}" for score in scores.tolist())
                print(*history[-1], f"{spent:.0f} s | {text}", flush=True)
            if checkpoint is not None:
                state = training.training_state(*kept)
                state |= {"history": history, "spent": spent}
                training.save_checkpoint(checkpoint, state)
    return Result(mean, history, spent)


def schedule(done: float) -> float:
    """Return the share of the learning rate: up over the first 2 %, then a cosine."""
    warm = min(1.0, (done + 1e-3) / 0.02)
    return warm * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(done, 1.0))).item())


# ------------------------------------------------------------------ the study


PUBLISHED = {
    "rotating": {
        "GPPVAE-dis": [0.0309],
        "GPPVAE-joint": [0.0288],
        "ODE2VAE": [0.0194],
        "ODE2VAE-KL": [0.0184],
        "Vialard et al.": [0.0122],
        "InImNet, 2 layers, depths 1 to 4": [0.0156, 0.0130, 0.0126, 0.0125],
        "InImNet, 3 layers, depths 1 to 4": [0.0176, 0.0129, 0.0125, 0.0126],
    },
    "balls": {
        "ODE2VAE": [e / 1e4 for e in (32, 37, 46, 58, 70, 87, 108, 134, 163, 197)],
        "Vialard et al. (rerun)": [
            e / 1e4 for e in (58, 66, 78, 98, 126, 160, 197, 242, 291, 344)
        ],
    },
}
"""Published errors: at the held-out frame of rotating digits (Corbett and Kangin 2022,
table 1), and by predicted frame 1 to 10 of the balls (Yildiz et al. 2019; the published
notebook of Vialard et al. 2020)."""


@dataclass(frozen=True)
class Job:
    """One training: a task, the name and the settings of the model, and the data.

    Attributes:
        data: of the digits, mnist or digits.   n_train, n_test: numbers of videos.
        beyond: the deepest network that is scored, with coupled weights deeper than
            the trained one.
    """

    task: str
    tag: str
    settings: Settings
    data: str
    n_train: int
    n_test: int
    beyond: int


SIZES = {"rotating": (500, 542), "balls": (10_000, 500), "digits": (123, 60)}
"""Numbers of videos for training and for testing, by task; of the digits there are
fewer than of MNIST."""

BEYOND = 8
"""Networks with coupled weights are scored down to this depth."""

RULES = "exact", "approximate"
"""The Jacobians that are compared; see `inimnet.VARIANTS`."""


def plan(
    task: str,
    tag: str,
    usual: Settings,
    data: str = "mnist",
    n_train: int | None = None,
    n_test: int | None = None,
    **changes: Any,
) -> Job:
    """Return a training with some changes of the usual settings."""
    settings = replace(usual, **changes)
    sizes = SIZES["digits" if data == "digits" else task]
    n_train, n_test = n_train or sizes[0], n_test or sizes[1]
    beyond = BEYOND if settings.coupled else settings.depth
    return Job(task, tag, settings, data, n_train, n_test, beyond)


def lesson(tag: str, **changes: Any) -> Job:
    """Return a training as in the lesson with some changes of its settings."""
    return plan("rotating", f"lesson: {tag}", LESSON, "digits", **changes)


def changes_of(words: Sequence[str]) -> dict[str, Any]:
    """Return the changes that a name like "exact, all, tanh" stands for."""
    return dict(zip(("variant", "loss", "activation"), words))


COMPARED = list(itertools.product(RULES, LOSSES)), [("approximate", "deepest", "relu")]
"""What is compared with coupled weights, once with tanh and once with ReLU."""

WIDE = replace(FULL["rotating"], width=128, n_layers=3, latent_dim=32, channels=32)
FILMS = replace(FULL["balls"], convolutional=True, steps=5000, batch=25)
COUPLED = {
    task: replace(FULL[task], coupled=True, steps=steps)
    for task, steps in (("rotating", 4000), ("balls", 5000))
}

PARTS = {
    "base": [
        plan("rotating", "base", FULL["rotating"], minutes=8),
        plan("balls", "base", FULL["balls"], minutes=8),
        plan("rotating", "wide", WIDE, minutes=8),
    ],
    "coupled": [
        plan(task, ", ".join(words), usual, **changes_of(words))
        for compared in COMPARED
        for task, usual in COUPLED.items()
        for words in compared
    ],
    "lesson": [
        lesson(", ".join(words), **changes_of(words))
        for words in itertools.product(RULES, LOSSES, ("tanh", "relu"))
    ]
    + [
        lesson(f"{variant}, all, tanh, no circle", variant=variant, clock=False)
        for variant in RULES
    ],
    "convolutional": [
        plan("balls", f"convolutional, {depth}", FILMS, depth=depth)
        for depth in (1, 2, 3)
    ],
}
"""The record: the trainings of each part, with one seed."""


def jobs(
    parts: Sequence[str] = tuple(PARTS),
    /,
    tasks: Sequence[str] = tuple(TASKS),
    seeds: Sequence[int] = (0, 1, 2),
    tag: str = "",
    data: str = "mnist",
    n_train: int | None = None,
    n_test: int | None = None,
    **changes: Any,
) -> list[Job]:
    """Return the trainings of the record or, with a `tag`, those with other settings.

    Args:
        tag: name of the settings that the other flags change, of the `Settings`
        data: mnist or digits
        changes: of the settings of the task in `FULL`, see `Settings`.
    Raises:
        ValueError: other settings without a tag.
    """
    given = data, n_train, n_test
    if tag:
        chosen = [plan(task, tag, FULL[task], *given, **changes) for task in tasks]
    elif changes or given != ("mnist", None, None):
        raise ValueError("other settings than those of the record need a --tag")
    else:
        chosen = [job for part in parts for job in PARTS[part] if job.task in tasks]
    return [
        replace(job, settings=replace(job.settings, seed=seed))
        for job in chosen
        for seed in seeds
    ]


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train one model and score it on the test videos; keep what it draws."""
    place, task = training.pick_device(device), TASKS[job.task]
    sizes = job.n_train, job.n_test
    if task.name == "rotating":
        videos, test = rotating_videos(job.data, 3, *sizes)
    else:
        videos, test = balls_videos(*sizes)
    name, path = f"{job.task} {job.tag} {job.settings.seed}", study.checkpoint(job, out)
    result = train(task, job.settings, videos, place, path, test, name)
    every = range(task.n_context, task.n_frames)
    model, test, depth = result.model, test.to(place), job.beyond
    batch = 100 if depth < BEYOND else 20  # so deep, one sample becomes 2 ** 8
    scored = errors(model, task, test, depth=depth, batch=batch)
    last = errors(model, task, test, every, depth=depth, batch=batch)
    keep_drawings(job, out, model, videos.to(place), test)
    return {
        "steps_taken": result.history[-1][0],
        "seconds": round(result.seconds),
        "device": str(place),
        "mse": scored.mean(dim=1).tolist(),
        "mse_by_frame": scored.tolist(),
        "mse_all_frames": last.mean(dim=1).tolist(),
        "history": result.history,
    }


def by_depth(results: list[Row]) -> list[Row]:
    """Return a row for each depth of the results."""
    return [
        row
        | {"steps": row["steps_taken"], "trained": row["depth"]}
        | {"depth": depth, "mse": round(mse, 5)}
        | {"mse_by_frame": " ".join(f"{error:.5f}" for error in frames)}
        for row in results
        for depth, (mse, frames) in enumerate(zip(row["mse"], row["mse_by_frame"]))
    ]


# ------------------------------------------------------------------ drawings

DRAWINGS = Path(__file__).with_name("video_drawings.npz")
"""What the networks of the record draw: a truth and the frames of all depths."""

GREYS = 15
"""Drawings are kept with so many levels of grey above black."""

SHOWN = {"rotating": 3, "balls": 1}
"""The video that is drawn, among those for training and among those for testing."""


@torch.no_grad()
def draw_depths(
    model: nn.Module, task: Task, film: Tensor, frames: Sequence[int], depth: int
) -> Tensor:
    """Return the given frames of a film and, below, those that all depths predict.

    Args:
        film: `(n_frames, size, size)`.
    Returns: `(1 + depth + 1, k, size, size)`, the truth first.
    """
    chosen = torch.tensor(frames, device=film.device)
    predicted = model(film[None, : task.n_context], task.times(chosen)[None], depth)
    return torch.cat([film[None, chosen], predicted[:, 0].clamp(0, 1)]).cpu()


def drawn_in(job: Job, out: Path) -> Path:
    """Return where the drawings of a job are kept, in the folder of the results."""
    return out / "drawings" / f"{study.checkpoint(job, out).stem}.npz"


def keep_drawings(
    job: Job, out: Path, model: nn.Module, videos: Tensor, test: Tensor
) -> None:
    """Write what the model of a job draws of a training and of a test video."""
    task, path, drawn = TASKS[job.task], drawn_in(job, out), {}
    for name, films in (("training", videos), ("test", test)):
        film = films[SHOWN[job.task] % len(films)]
        depths = draw_depths(model, task, film, task.targets, job.beyond)
        greys = (GREYS * depths).round().to(torch.uint8)
        drawn[f"{job.task}/{job.tag}/{name}"] = greys.numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **drawn)  # type: ignore[arg-type]


KEPT = {
    "rotating/base": range(16),
    "rotating/exact, all": range(0, 10, 2),
    "rotating/approximate, all": range(0, 10, 2),
    "balls/exact, all": range(10),
    "balls/approximate, all": range(10),
    "balls/convolutional, 1": range(10),
    "balls/convolutional, 2": range(10),
    "balls/convolutional, 3": range(10),
}
"""Of these networks the drawings are recorded, and of them these frames."""


def drawings(path: Path | None = None) -> dict[str, Tensor]:
    """Return the recorded drawings, `task/tag/training` or `task/tag/test` to frames.

    Returns: tensors `(1 + depths, frames, size, size)` in [0, 1]; the truth, then the
        depths 0, 1, ..
    """
    with np.load(path or DRAWINGS) as file:
        return {name: torch.from_numpy(file[name]) / GREYS for name in file}


class VideoStudy(Study):
    """A study whose record holds drawings, too."""

    def record(
        self,
        jobs: Sequence,
        out: str | Path,
        path: Path | None = None,
        partial: bool = False,
    ) -> Path:
        """Write the record and, beside it, what the first seed draws."""
        table = super().record(jobs, out, path, partial)
        kept: dict[str, np.ndarray] = {}
        for job in jobs:
            frames = KEPT.get(f"{job.task}/{job.tag}")
            drawn = drawn_in(job, Path(out))
            if frames is not None and job.settings.seed == 0 and drawn.exists():
                with np.load(drawn) as file:
                    kept |= {name: file[name][:, list(frames)] for name in file}
        if kept:
            beside = table.with_name(f"{table.stem}_drawings.npz")
            np.savez_compressed(beside, **kept)  # type: ignore[arg-type]
        return table


STUDY = VideoStudy(
    "video",
    jobs,
    work,
    by_depth,
    changes=Settings,
    columns=(
        *("task", "tag", "data", "n_train", "n_test", "seed", "latent_dim", "width"),
        *("n_layers", "augment", "coupled", "variant", "loss", "activation"),
        *("trained", "steps", "seconds", "depth", "mse", "mse_by_frame"),
    ),
)


def recorded(path: Path | None = None) -> list[Row]:
    """Return what was measured at full size, one entry per run.

    Returns: dicts with the columns of the record, where `mse` is a list by depth and
        `mse_by_frame` a list of lists, by depth and frame.
    """
    runs: dict[tuple, Row] = {}
    for row in STUDY.recorded(path):
        frames = [float(error) for error in str(row.pop("mse_by_frame")).split()]
        new = row | {"mse": [], "mse_by_frame": []}
        run = runs.setdefault((row["task"], row["tag"], row["seed"]), new)
        run["mse"].append(row["mse"])
        run["mse_by_frame"].append(frames)
    return list(runs.values())


if __name__ == "__main__":
    STUDY.main()
