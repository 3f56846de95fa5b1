"""Small data sets that are drawn from a formula: points, densities and spirals.

Every function takes a `generator`: an integer seed or a `torch.Generator`, which is
then advanced. The same seed gives the same numbers on every machine.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Seed = int | torch.Generator


class Points(NamedTuple):
    """Labelled points: `X` of shape `(s, d)` and integer `labels` of shape `(s,)`."""

    X: Tensor
    labels: Tensor


def seeded(generator: Seed) -> torch.Generator:
    """Return `generator` itself, or a new one with that seed."""
    if isinstance(generator, torch.Generator):
        return generator
    return torch.Generator().manual_seed(generator)


def _uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator):
    return low + (high - low) * torch.rand(shape, generator=rng, dtype=torch.float64)


def _normal(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


# --------------------------------------------------------------- classification


ELLIPSES_BOX = (-2.0, 2.0, -1.0, 1.0)
SWISS_ROLL_BOX = (-1.2, 1.2, -1.2, 1.2)
PEAKS_BOX = (-3.0, 3.0, -3.0, 3.0)


def ellipses(
    n_per_class: int, generator: Seed = 0, dtype: torch.dtype = torch.float32
) -> Points:
    """Draw two nested ellipses: a full one (class 0) inside a ring (class 1).

    In polar coordinates class 0 has r ~ U(0, 1) and class 1 has r ~ 1 + U(0, 1); the
    point is (r cos a, 0.4 r sin a). The classes touch at r = 1, without a margin.
    Source: Haber and Ruthotto (2017), section 6.

    Args:
        n_per_class: number of points in each class.
        generator: seed or generator.
        dtype: of the points.
    Returns: 2 * n_per_class points in the plane, class 0 first.
    """
    rng = seeded(generator)
    radius = _uniform((2 * n_per_class,), 0.0, 1.0, rng)
    radius[n_per_class:] += 1.0
    angle = _uniform((2 * n_per_class,), 0.0, 2 * math.pi, rng)
    X = _polar(radius, angle) * torch.tensor([1.0, 0.4], dtype=torch.float64)
    labels = torch.arange(2).repeat_interleave(n_per_class)
    return Points(X.to(dtype), labels)


def swiss_roll(
    n: int = 256, dtype: torch.dtype = torch.float32
) -> tuple[Points, Points]:
    """Return two interleaved spirals, split into a training and a validation set.

    Both spirals run over the angles 0, 2 pi / n, .., 4 pi; the radius grows from 0 to 1
    in class 0 and from 0.2 to 1.2 in class 1. The rows are numbered from 1, class 0
    first: odd rows are for training, even rows for validation. Nothing is random.
    Source: Haber and Ruthotto (2017), section 6.

    Args:
        n: points per turn; each class has 2 n + 1 points.
        dtype: of the points.
    Returns: `(train, validation)`, each with 2 n + 1 points (513 for n = 256).
    """
    angle = torch.linspace(0.0, 4 * math.pi, 2 * n + 1, dtype=torch.float64)
    growth = torch.linspace(0.0, 1.0, 2 * n + 1, dtype=torch.float64)
    X = torch.cat([_polar(growth, angle), _polar(growth + 0.2, angle)]).to(dtype)
    labels = torch.arange(2).repeat_interleave(2 * n + 1)
    return Points(X[0::2], labels[0::2]), Points(X[1::2], labels[1::2])


def peaks_function(x: Tensor, y: Tensor) -> Tensor:
    """Evaluate the test surface of three hills and two hollows known as "peaks"."""
    return (
        3 * (1 - x) ** 2 * torch.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * torch.exp(-(x**2) - y**2)
        - torch.exp(-((x + 1) ** 2) - y**2) / 3
    )


def peaks(
    n: int = 8000,
    n_classes: int = 5,
    generator: Seed = 0,
    dtype: torch.dtype = torch.float32,
) -> Points:
    """Draw points of the square [-3, 3]^2, labelled by the height of `peaks_function`.

    The heights on a grid of 256 x 256 points are cut into `n_classes` intervals of
    equal width, from low to high; from each class n / n_classes grid points are drawn
    with replacement. Source: Haber and Ruthotto (2017), section 6.

    Args:
        n: number of points in all, a multiple of `n_classes`.
        n_classes: number of classes.
        generator: seed or generator.
        dtype: of the points.
    Returns: n points, sorted by class.
    Raises:
        ValueError: if `n` is not a multiple of `n_classes`.
    """
    if n % n_classes:
        raise ValueError(f"{n} points do not divide into {n_classes} equal classes")
    rng = seeded(generator)
    axis = torch.linspace(-3.0, 3.0, 256, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    height = peaks_function(grid[:, 0], grid[:, 1])
    edges = torch.linspace(
        height.min().item(), height.max().item(), n_classes + 1, dtype=torch.float64
    )
    cell = torch.bucketize(height, edges[1:-1])
    drawn = []
    for label in range(n_classes):
        members = (cell == label).nonzero().squeeze(1)
        choice = torch.randint(len(members), (n // n_classes,), generator=rng)
        drawn.append(grid[members[choice]])
    labels = torch.arange(n_classes).repeat_interleave(n // n_classes)
    return Points(torch.cat(drawn).to(dtype), labels)


# --------------------------------------------------- densities known up to a factor


DENSITY_BOX = (-4.0, 4.0, -4.0, 4.0)
"""Where the potentials are used: U2 to U4 cannot be normalised on the whole plane."""


def _w1(z: Tensor) -> Tensor:
    return torch.sin(2 * math.pi * z[..., 0] / 4)


def _w2(z: Tensor) -> Tensor:
    return 3 * torch.exp(-0.5 * ((z[..., 0] - 1) / 0.6) ** 2)


def _w3(z: Tensor) -> Tensor:
    return 3 * torch.sigmoid((z[..., 0] - 1) / 0.3)


def _bell(distance: Tensor, width: float) -> Tensor:
    """Minus one half of the squared distance in units of the width."""
    return -0.5 * (distance / width) ** 2


def U1(z: Tensor) -> Tensor:
    """Two modes on a ring of radius 2; `z (..., 2)` -> `(...)`."""
    ring = -_bell(z.norm(dim=-1) - 2, 0.4)
    return ring - torch.logaddexp(_bell(z[..., 0] - 2, 0.6), _bell(z[..., 0] + 2, 0.6))


def U2(z: Tensor) -> Tensor:
    """A sine wave of width 0.4; `z (..., 2)` -> `(...)`."""
    return -_bell(z[..., 1] - _w1(z), 0.4)


def U3(z: Tensor) -> Tensor:
    """A sine wave that splits into two around z_1 = 1; `z (..., 2)` -> `(...)`."""
    wave = z[..., 1] - _w1(z)
    return -torch.logaddexp(_bell(wave, 0.35), _bell(wave + _w2(z), 0.35))


def U4(z: Tensor) -> Tensor:
    """A sine wave that splits in two from z_1 = 1 on; `z (..., 2)` -> `(...)`."""
    wave = z[..., 1] - _w1(z)
    return -torch.logaddexp(_bell(wave, 0.4), _bell(wave + _w3(z), 0.35))


POTENTIALS: dict[str, Callable[[Tensor], Tensor]] = {
    "U1": U1,
    "U2": U2,
    "U3": U3,
    "U4": U4,
}
"""Energies of Rezende and Mohamed (2015), table 1; the density is exp(-U) / Z."""

NORMALISERS = {"U1": 6.5373, "U2": 8.0212, "U3": 14.0371, "U4": 14.6519}
"""Z, the integral of exp(-U) over `DENSITY_BOX`."""


# --------------------------------------------------------------- samples for flows


def two_circles(
    n: int = 512,
    noise: float = 0.06,
    factor: float = 0.5,
    generator: Seed = 0,
    dtype: torch.dtype = torch.float32,
) -> Points:
    """Draw from two circles around 0, of radius 1 (class 0) and `factor` (class 1).

    Args:
        n: number of points in all; class 0 gets the odd one.
        noise: standard deviation of the Gaussian noise on each coordinate.
        factor: radius of the inner circle.
        generator: seed or generator.
        dtype: of the points.
    Returns: n points, class 0 first.
    """
    rng = seeded(generator)
    labels = (torch.arange(n) >= (n + 1) // 2).long()
    radius = torch.where(labels == 0, 1.0, factor).double()
    X = _polar(radius, _uniform((n,), 0.0, 2 * math.pi, rng))
    return Points((X + noise * _normal((n, 2), rng)).to(dtype), labels)


def two_moons(
    n: int = 512,
    noise: float = 0.1,
    generator: Seed = 0,
    dtype: torch.dtype = torch.float32,
) -> Points:
    """Draw from two half circles of radius 2 that reach into each other.

    The upper one (class 0) is (cos a, sin a), the lower one (class 1) is
    (1 - cos a, 1/2 - sin a) with a ~ U(0, pi); noise is added, then the plane is
    mapped by z -> 2 z + (-1, -0.2), which centres the picture.

    Args:
        n: number of points in all; class 0 gets the odd one.
        noise: standard deviation of the noise before the plane is stretched.
        generator: seed or generator.
        dtype: of the points.
    Returns: n points, class 0 first.
    """
    rng = seeded(generator)
    labels = (torch.arange(n) >= (n + 1) // 2).long()
    upper = _polar(torch.ones(n, dtype=torch.float64), _uniform((n,), 0, math.pi, rng))
    lower = torch.tensor([1.0, 0.5], dtype=torch.float64) - upper
    X = torch.where(labels[:, None] == 0, upper, lower)
    X = X + noise * _normal((n, 2), rng)
    X = 2 * X + torch.tensor([-1.0, -0.2], dtype=torch.float64)
    return Points(X.to(dtype), labels)


# ------------------------------------------------------------------- time series


class Spirals(NamedTuple):
    """Windows cut out of two spirals."""

    noisy: Tensor
    """(s, n_points, 2): what is observed."""
    clean: Tensor
    """(s, n_points + n_ahead, 2): the truth, going on where observation stops."""
    times: Tensor
    """(n_points + n_ahead,): model time, from 0 for every window."""
    kinds: Tensor
    """(s,): 0 for the clockwise spiral, 1 for the other."""
    starts: Tensor
    """(s,): where on the spiral the window begins, in grid points."""


def spiral_curves(n_grid: int = 500, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the clockwise and the counter-clockwise spiral, shape `(2, n_grid, 2)`.

    With t from 0 to 6 pi: the first has angle p = 6 pi + 1 - t and radius 0.3 * 50 / p
    around (-5, 0); the second has angle t and radius 0.3 t around (5, 0).
    Source: Chen et al. (2018), section 5.1.
    """
    t = torch.linspace(0.0, 6 * math.pi, n_grid, dtype=torch.float64)
    backwards = 6 * math.pi + 1 - t
    centre = torch.tensor([5.0, 0.0], dtype=torch.float64)
    clockwise = _polar(0.3 * 50 / backwards, backwards) - centre
    counter = _polar(0.3 * t, t) + centre
    return torch.stack([clockwise, counter]).to(dtype)


def spirals(
    n: int = 1000,
    n_points: int = 100,
    n_ahead: int = 0,
    noise: float = 0.3,
    generator: Seed = 0,
    dtype: torch.dtype = torch.float32,
) -> Spirals:
    """Draw windows of two-dimensional spirals, with noise.

    The curves have 500 points. A window is `n_points` successive ones; it starts at a
    uniform index of [100, 400), so that there are only 600 different clean windows.
    Its kind is a fair coin. Source: Chen et al. (2018), section 5.1.

    Args:
        n: number of windows.
        n_points: observed points per window.
        n_ahead: further points of the clean curve, to test extrapolation. The start is
            then drawn early enough for the curve to go on that long.
        noise: standard deviation of the noise on each coordinate.
        generator: seed or generator.
        dtype: of the result.
    Raises:
        ValueError: if a window does not fit on the curve.
    """
    n_grid = 500
    first = 100
    last = min(400, n_grid - n_points - n_ahead + 1)
    if last <= first:
        raise ValueError(
            f"{n_points} + {n_ahead} points do not fit behind index {first}"
        )
    rng = seeded(generator)
    starts = torch.randint(first, last, (n,), generator=rng)
    kinds = torch.randint(2, (n,), generator=rng)
    index = starts[:, None] + torch.arange(n_points + n_ahead)
    clean = spiral_curves(n_grid)[kinds[:, None], index]
    noisy = clean[:, :n_points] + noise * _normal((n, n_points, 2), rng)
    times = torch.linspace(0.0, 6 * math.pi, n_grid, dtype=torch.float64)
    times = times[: n_points + n_ahead]
    return Spirals(noisy.to(dtype), clean.to(dtype), times.to(dtype), kinds, starts)


def irregular_indices(
    n_times: int, n_observed: int, n: int | None = None, generator: Seed = 0
) -> Tensor:
    """Choose observation times at random: increasing indices without repetition.

    Args:
        n_times: number of times to choose from.
        n_observed: number of times to keep.
        n: number of sequences, each with a choice of its own; None for a single choice.
        generator: seed or generator.
    Returns: integer indices, `(n_observed,)` or `(n, n_observed)`.
    Raises:
        ValueError: if more times are asked for than there are.
    """
    if not 0 < n_observed <= n_times:
        raise ValueError(f"cannot choose {n_observed} of {n_times} times")
    lots = torch.rand(n or 1, n_times, generator=seeded(generator))
    chosen = lots.argsort(dim=1)[:, :n_observed].sort(dim=1).values
    return chosen[0] if n is None else chosen
