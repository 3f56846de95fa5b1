"""The toy data sets against their definitions."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from odenets.data import toy


def test_ellipses_fill_their_radii():
    X, labels = toy.ellipses(4000, generator=1, dtype=torch.float64)
    assert X.shape == (8000, 2) and labels.bincount().tolist() == [4000, 4000]
    radius = torch.hypot(X[:, 0], X[:, 1] / 0.4)
    inner, outer = radius[labels == 0], radius[labels == 1]
    # Uniform radii: mean 1/2 and 3/2, standard error 1/sqrt(12 * 4000) = 0.0046.
    assert inner.max() <= 1 and abs(inner.mean() - 0.5) < 0.02
    assert outer.min() >= 1 and outer.max() <= 2 and abs(outer.mean() - 1.5) < 0.02
    angle = torch.atan2(X[:, 1] / 0.4, X[:, 0])
    assert abs(torch.exp(1j * angle).mean()) < 0.04


def test_seeds_and_generators():
    X, _ = toy.ellipses(5, generator=3)
    same, _ = toy.ellipses(5, generator=torch.Generator().manual_seed(3))
    other, _ = toy.ellipses(5, generator=4)
    assert X.dtype == torch.float32 and torch.equal(X, same)
    assert not torch.equal(X, other)
    rng = torch.Generator().manual_seed(3)
    first, second = toy.two_moons(5, generator=rng), toy.two_moons(5, generator=rng)
    assert not torch.equal(first.X, second.X)


def test_global_randomness_is_left_alone():
    before = torch.get_rng_state()
    toy.ellipses(5), toy.peaks(10), toy.two_circles(4), toy.spirals(3)
    toy.irregular_indices(10, 3)
    assert torch.equal(before, torch.get_rng_state())


def test_swiss_roll_counts_and_curve():
    train, validation = toy.swiss_roll(dtype=torch.float64)
    assert train.X.shape == validation.X.shape == (513, 2)
    assert train.labels.bincount().tolist() == [257, 256]
    assert validation.labels.bincount().tolist() == [256, 257]
    # Row 1 is the start of class 0, row 2 (the first of validation) the point after it.
    assert train.X[0].tolist() == [0.0, 0.0]
    angle = 2 * math.pi / 256
    expected = torch.tensor([math.cos(angle), math.sin(angle)]).double() / 512
    torch.testing.assert_close(validation.X[0], expected)
    # Row 514 starts class 1 at radius 0.2; the last row ends it at radius 1.2.
    second = validation.X[validation.labels == 1]
    torch.testing.assert_close(second[0], torch.tensor([0.2, 0.0]).double())
    torch.testing.assert_close(second[-1], torch.tensor([1.2, 0.0]).double())


def test_peaks_are_bins_of_equal_width():
    X, labels = toy.peaks(5000, generator=0, dtype=torch.float64)
    assert labels.bincount().tolist() == [1000] * 5
    height = toy.peaks_function(X[:, 0], X[:, 1])
    axis = np.linspace(-3, 3, 256)
    x, y = np.meshgrid(axis, axis)
    grid = (  # written once more, in numpy
        3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - 1 / 3 * np.exp(-((x + 1) ** 2) - y**2)
    )
    edges = np.linspace(grid.min(), grid.max(), 6)
    for label in range(5):
        inside = height[labels == label]
        assert inside.min() >= edges[label] - 1e-12
        assert inside.max() <= edges[label + 1] + 1e-12
    fractions = np.histogram(grid, edges)[0] / grid.size
    assert fractions == pytest.approx([0.028, 0.122, 0.726, 0.097, 0.027], abs=1e-3)
    with pytest.raises(ValueError, match="divide"):
        toy.peaks(11)


@pytest.mark.parametrize("name", list(toy.POTENTIALS))
def test_normalising_constants(name):
    def density(y, x):
        z = torch.tensor([x, y], dtype=torch.float64)
        return torch.exp(-toy.POTENTIALS[name](z)).item()

    axis = torch.linspace(-4, 4, 801, dtype=torch.float64)
    values = torch.exp(-toy.POTENTIALS[name](torch.cartesian_prod(axis, axis)))
    total = integrate.simpson(integrate.simpson(values.view(801, 801), x=axis), x=axis)
    assert total == pytest.approx(toy.NORMALISERS[name], abs=2e-4)
    row = integrate.quad(lambda y: density(y, 0.3), -4, 4, points=[0.0])[0]
    there = torch.stack([torch.full_like(axis, 0.3), axis], dim=1)
    again = integrate.simpson(torch.exp(-toy.POTENTIALS[name](there)), x=axis)
    assert row == pytest.approx(again, rel=1e-6)


def test_potentials_at_known_points():
    z = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    # On the ring at a mode: the other mode adds exp(-(4 / 0.6)^2 / 2), almost nothing.
    assert toy.U1(z)[0].item() == pytest.approx(-math.log1p(math.exp(-200 / 9)))
    assert toy.U2(z)[1:].tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
    # At z_1 = 1 the second branch lies 3 lower (U3) and 1.5 lower (U4).
    for potential, distance in ((toy.U3, 3.0), (toy.U4, 1.5)):
        second = math.exp(-0.5 * (distance / 0.35) ** 2)
        assert potential(z)[2].item() == pytest.approx(-math.log1p(second))
    for potential in toy.POTENTIALS.values():
        assert potential(z.view(3, 1, 2)).shape == (3, 1)


def test_circles_and_moons_lie_on_their_curves():
    X, labels = toy.two_circles(2001, noise=0.0, dtype=torch.float64)
    assert labels.bincount().tolist() == [1001, 1000]
    torch.testing.assert_close(
        X.norm(dim=1), torch.where(labels == 0, 1.0, 0.5).double()
    )
    noisy, _ = toy.two_circles(4000, noise=0.06, dtype=torch.float64)
    spread = (noisy.norm(dim=1) - torch.where(noisy.norm(dim=1) > 0.75, 1.0, 0.5)).std()
    assert spread == pytest.approx(0.06, rel=0.1)
    X, labels = toy.two_moons(2000, noise=0.0, dtype=torch.float64)
    raw = (X + torch.tensor([1.0, 0.2])) / 2
    upper, lower = raw[labels == 0], raw[labels == 1]
    assert upper[:, 1].min() >= 0 and lower[:, 1].max() <= 0.5
    centre = torch.tensor([1.0, 0.5]).double()
    for points in (upper, centre - lower):
        torch.testing.assert_close(points.norm(dim=1), torch.ones(1000).double())


def test_spirals():
    s = toy.spirals(500, generator=2, dtype=torch.float64)
    assert s.noisy.shape == s.clean.shape == (500, 100, 2) and s.times.shape == (100,)
    assert s.starts.min() >= 100 and s.starts.max() < 400
    assert set(s.kinds.tolist()) == {0, 1}
    assert s.times[0] == 0 and s.times[-1].item() == pytest.approx(
        99 * 6 * math.pi / 499
    )
    assert (s.noisy - s.clean).std().item() == pytest.approx(0.3, rel=0.02)
    for kind, start, window in zip(s.kinds[:20], s.starts[:20], s.clean[:20]):
        t = 6 * math.pi * (start + torch.arange(100)).double() / 499
        if kind == 1:
            expected = torch.stack([5 + 0.3 * t * t.cos(), 0.3 * t * t.sin()], dim=1)
        else:
            p = 6 * math.pi + 1 - t
            expected = torch.stack([15 / p * p.cos() - 5, 15 / p * p.sin()], dim=1)
        torch.testing.assert_close(window, expected)


def test_spirals_go_on_ahead():
    s = toy.spirals(300, n_points=100, n_ahead=100, generator=0)
    assert s.clean.shape == (300, 200, 2) and s.noisy.shape == (300, 100, 2)
    assert s.times.shape == (200,) and s.starts.max() + 200 <= 500
    with pytest.raises(ValueError, match="fit"):
        toy.spirals(3, n_points=300, n_ahead=200)


def test_irregular_indices():
    one = toy.irregular_indices(100, 30, generator=5)
    many = toy.irregular_indices(100, 30, n=7, generator=5)
    assert one.shape == (30,) and many.shape == (7, 30)
    assert (one.diff() > 0).all() and (many.diff(dim=1) > 0).all()
    assert not torch.equal(many[0], many[1])
    assert torch.equal(toy.irregular_indices(4, 4), torch.arange(4))
    with pytest.raises(ValueError):
        toy.irregular_indices(4, 5)
