"""Images read at other places: turned, stretched, moved."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rotations(angles: Tensor) -> Tensor:
    """Return rotation matrices `(k, 2, 2)` for angles `(k,)` in radians."""
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)


def warp(images: Tensor, A: Tensor, b: Tensor | None = None) -> Tensor:
    """Return images that show at a place x what the given ones show at A x + b.

    Places go from -1 to 1, first from left to right, then from top to bottom; read is
    between the pixels, bilinearly, and black outside.

    Args:
        images: `(s, n, n)`.
        A: `(s, 2, 2)`, or `(2, 2)` for all of them.   b: `(s, 2)`; zero if None.
    """
    maps = F.pad(A, (0, 1)) if b is None else torch.cat([A, b[:, :, None]], dim=2)
    maps = maps.to(images).expand(len(images), 2, 3)
    grid = F.affine_grid(maps, [len(images), 1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
