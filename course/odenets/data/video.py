"""Videos made from a seed: rotating digits and bouncing balls.

Rotating digits are the data of Casale et al. (2018) and Yildiz et al. (2019): one digit
class, every image turned once around in equal steps. Bouncing balls are those of
Sutskever, Hinton and Taylor (2008). Videos have the shape
`(sequences, frames, height, width)`, float32, with grey values from 0 to 1.
"""

import math

import torch
from torch import Tensor

from odenets.data.affine import rotations, warp

BOX = 10.0
"""Side of the box in which balls bounce; the corners are (0, 0) and (BOX, BOX)."""

RADIUS = 1.2
SPEED = 0.5
"""Length of the vector of all velocities of a scene, in units of the box per time."""

SUB_STEPS = 2
"""Moves between two frames, each of length 1 / SUB_STEPS in time."""

# ------------------------------------------------------------------ rotating digits


def rotating_digits(images: Tensor, n_frames: int = 16) -> Tensor:
    """Turn every image once around: frame k is turned by 360 k / n_frames degrees.

    The turn is counter-clockwise about the centre, with bilinear interpolation; what
    comes in from outside is black. Frame 0 is the image itself.

    Args:
        images: `(s, height, width)`, square, grey values in [0, 1].
        n_frames: frames of the full turn.
    Returns: `(s, n_frames, height, width)`.
    """
    angles = 2 * math.pi * torch.arange(n_frames, dtype=images.dtype) / n_frames
    turned = [warp(images, turn) for turn in rotations(angles.double())]
    return torch.stack(turned, dim=1).clamp(0, 1)


# ------------------------------------------------------------------ bouncing balls


def collide(
    x: Tensor, v: Tensor, radius: float, approaching_only: bool = True
) -> Tensor:
    """Return the velocities after elastic collisions between equal discs.

    Two discs nearer than `2 * radius` exchange the parts of their velocities along the
    line of their centres: momentum and kinetic energy stay what they were.

    Args:
        x, v: positions and velocities of n discs, `(n, 2)`, or of many scenes,
            `(s, n, 2)`. Pairs are treated one after the other.
        radius: of each disc.
        approaching_only: leave a pair alone that already flies apart. The original
            generator does not ask, so that it turns a pair around again that is still
            closer than `2 * radius` one move after its collision.
    Returns: new velocities; `v` itself is left unchanged.
    """
    v = v.clone()
    n = x.shape[-2]
    for i in range(n):
        for j in range(i):
            line = x[..., i, :] - x[..., j, :]
            distance = line.norm(dim=-1, keepdim=True)
            normal = line / distance.clamp_min(1e-12)
            relative = v[..., i, :] - v[..., j, :]
            along = (relative * normal).sum(dim=-1, keepdim=True)
            hit = distance < 2 * radius
            if approaching_only:
                hit = hit & (along < 0)
            exchange = torch.where(hit, along, 0.0) * normal
            v[..., i, :] -= exchange
            v[..., j, :] += exchange
    return v


def move_balls(
    x: Tensor, v: Tensor, approaching_only: bool = False
) -> tuple[Tensor, Tensor]:
    """Advance scenes `(s, n, 2)` by one sub-step: move, then walls, then collisions.

    At a wall the component of the velocity is turned inwards; positions are never
    corrected.
    """
    x = x + v / SUB_STEPS
    v = torch.where(x < RADIUS, v.abs(), v)
    v = torch.where(x > BOX - RADIUS, -v.abs(), v)
    return x, collide(x, v, RADIUS, approaching_only)


def place_balls(
    n_sequences: int, n_balls: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw scenes: positions inside the walls, no overlap; velocities of norm SPEED.

    Returns: positions and velocities, `(n_sequences, n_balls, 2)`, float64.
    """
    shape = (n_balls, 2)
    x = torch.empty(n_sequences, *shape, dtype=torch.float64)
    todo = torch.arange(n_sequences)
    pairs = torch.triu_indices(n_balls, n_balls, offset=1)
    while len(todo):
        drawn = torch.rand(len(todo), *shape, dtype=x.dtype, generator=generator)
        drawn = 2 + 8 * drawn
        inside = (drawn <= BOX - RADIUS).all(dim=(1, 2))
        gaps = (drawn[:, pairs[0]] - drawn[:, pairs[1]]).norm(dim=-1)
        good = inside & (gaps >= 2 * RADIUS).all(dim=1)
        x[todo[good]] = drawn[good]
        todo = todo[~good]
    v = torch.randn(n_sequences, *shape, dtype=x.dtype, generator=generator)
    return x, SPEED * v / v.flatten(1).norm(dim=1)[:, None, None]


def ball_paths(
    n_sequences: int,
    n_frames: int = 20,
    n_balls: int = 3,
    *,
    generator: torch.Generator,
    approaching_only: bool = False,
) -> tuple[Tensor, Tensor]:
    """Simulate scenes and return positions and velocities at every frame.

    Returns: two tensors `(n_sequences, n_frames, n_balls, 2)`, float64.
    """
    x, v = place_balls(n_sequences, n_balls, generator)
    positions, velocities = [x], [v]
    for _ in range(n_frames - 1):
        for _ in range(SUB_STEPS):
            x, v = move_balls(x, v, approaching_only=approaching_only)
        positions.append(x)
        velocities.append(v)
    return torch.stack(positions, dim=1), torch.stack(velocities, dim=1)


def draw_balls(positions: Tensor, resolution: int = 32) -> Tensor:
    """Draw soft discs: min(1, sum_i exp(-(|c - x_i|^2 / radius^2)^4)) in cell c.

    Args:
        positions: `(..., n_balls, 2)`; the first coordinate counts rows.
        resolution: cells per side of the box.
    Returns: images `(..., resolution, resolution)`, float32.
    """
    centres = (torch.arange(resolution, dtype=torch.float32) + 0.5) * BOX / resolution
    image = torch.zeros(*positions.shape[:-2], resolution, resolution)
    for position in positions.float().unbind(dim=-2):
        squares = (centres - position[..., None]) ** 2  # (..., 2, resolution)
        distance = squares[..., 0, :, None] + squares[..., 1, None, :]
        ratio = (distance / RADIUS**2) ** 2  # twice squared: the fourth power
        image += torch.exp(-(ratio**2))
    return image.clamp_(max=1)


def bouncing_balls(
    n_sequences: int,
    n_frames: int = 20,
    n_balls: int = 3,
    *,
    generator: torch.Generator,
    resolution: int = 32,
    approaching_only: bool = False,
) -> Tensor:
    """Make videos of balls that bounce off the walls and off each other.

    Args:
        n_sequences, n_frames, n_balls: how many of each.
        generator: source of the random starts.
        resolution: pixels per side.
        approaching_only: see `collide`; False is the rule of the original generator.
    Returns: `(n_sequences, n_frames, resolution, resolution)`.
    """
    positions, _ = ball_paths(
        n_sequences,
        n_frames,
        n_balls,
        generator=generator,
        approaching_only=approaching_only,
    )
    chunks = positions.split(250)  # keeps the intermediate images small
    return torch.cat([draw_balls(chunk, resolution) for chunk in chunks])


# ------------------------------------------------------------------ hold-out


def frame_mask(
    n_frames: int, held_out: int, n_random: int, generator: torch.Generator
) -> Tensor:
    """Draw which frames of one sequence are trained on.

    Args:
        n_frames: length of the sequence.
        held_out: index of the frame that is never trained on.
        n_random: so many of the other frames are dropped too, anew at each call.
        generator: source of the draw.
    Returns: booleans `(n_frames,)`, True where a frame is trained on.
    """
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    order = torch.randperm(n_frames - 1, generator=generator)
    mask = torch.zeros(n_frames, dtype=torch.bool)
    mask[others[order[n_random:]]] = True
    return mask
