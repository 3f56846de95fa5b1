"""Properties of the pure functions that carry grades, on inputs that nobody chose."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odenets import solvers
from odenets.data import video
from odenets.nets import continuous, iresnet, irevnet, resnet, stable
from odenets.solvers import TABLEAUS
from odenets.solvers.odeint import split_times

counts = st.integers(1, 60)
nodes = st.sampled_from(sorted({c for t in TABLEAUS.values() for c in t.c}))
sizes = st.floats(1e-3, 1e3)


def doubles(*shape):
    """Tensors of double precision, drawn from a seed."""

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return st.builds(draw, st.integers(0, 2**32))


# ------------------------------------------------------------------ depth and time


@given(counts, counts, nodes, st.data())
def test_a_stage_reads_the_half_open_cell_of_its_time(n_steps, n_cells, node, data):
    step = data.draw(st.integers(0, n_steps - 1))
    index = continuous.cell_index(step, n_steps, n_cells, node)
    exact = Fraction(node).limit_denominator(10)
    position = (step + exact) * n_cells / n_steps  # in cells, without rounding
    if node == 1:  # from the left
        assert index < position <= index + 1
    else:
        assert index <= position < index + 1
    assert 0 <= index < n_cells


@given(st.integers(1, 1000), st.data(), sizes)
def test_a_rounded_time_reads_the_layer_that_was_meant(n_layers, data, T):
    j = data.draw(st.integers(0, n_layers - 1))
    h = T / n_layers
    inside = data.draw(st.floats(0.01, 0.99))
    for t in (j * h, float(np.float32(j * h)), sum([h] * j), (j + inside) * h):
        assert resnet.layer_index(t, T, n_layers) == j
    assert resnet.layer_index(T, T, n_layers) == n_layers - 1


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**32))
def test_refined_and_prolonged_weights_are_the_same_function(n, width, seed):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(n, width, generator=generator)
    fine = continuous.refine(theta)
    for step in range(2 * n):
        coarse = continuous.cell_index(step, 2 * n, n, 0.0)
        assert torch.equal(fine[step], theta[coarse])
    assert torch.equal(stable.prolong(theta)[::2], theta)


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=9, unique=True),
    st.booleans(),
    st.sampled_from(["list", "tuple", "ints", "numpy", "tensor"]),
)
def test_times_are_what_was_given(times, falling, kind):
    times = sorted(times, reverse=falling)
    given_as = {
        "list": [float(s) for s in times],
        "tuple": tuple(torch.tensor(float(s)) for s in times),
        "ints": times,
        "numpy": np.array(times),
        "tensor": torch.tensor(times, dtype=torch.float64),
    }[kind]
    assert split_times(given_as)[0] == [float(s) for s in times]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6))
def test_times_that_turn_back_or_repeat_are_refused(times):
    steps = [b - a for a, b in pairwise(times)]
    monotone = all(s > 0 for s in steps) or all(s < 0 for s in steps)
    if monotone:
        solvers.checked_times(times)
    else:
        with pytest.raises(ValueError, match=r"repeated|turn back"):
            solvers.checked_times(times)


# -------------------------------------------------------------------- slopes, steps


@given(st.lists(sizes, min_size=2, max_size=9, unique=True), st.floats(-5, 5), sizes)
def test_the_order_of_an_exact_power(step_sizes, order, factor):
    if max(step_sizes) < 1.01 * min(step_sizes):
        return
    errors = [factor * h**order for h in step_sizes]
    assert solvers.observed_order(errors, step_sizes) == pytest.approx(order, abs=1e-6)


@given(doubles(3, 3), st.floats(0, 2))
def test_an_antisymmetric_matrix_has_eigenvalues_on_a_line(K, gamma):
    values = torch.linalg.eigvals(stable.antisymmetric(K, gamma))
    assert values.real.numpy() == pytest.approx(-gamma / 2, abs=1e-12)


# The square of a smaller number than these would be zero.
numbers = st.just(0j) | st.complex_numbers(min_magnitude=1e-100, max_magnitude=1e3)


@given(st.lists(numbers, min_size=1, max_size=5))
def test_the_largest_stable_step_is_stable_and_the_largest(values):
    eigenvalues = torch.tensor(values, dtype=torch.complex128)
    h = stable.max_stable_step(eigenvalues)
    if h == math.inf:
        assert not eigenvalues.any()
    elif h == 0:
        largest = eigenvalues.abs().max()
        assert (eigenvalues.real > -1e-10 * largest).any()
    else:
        nonzero = eigenvalues[eigenvalues.abs() > 1e-10 * eigenvalues.abs().max()]
        assert ((1 + h * nonzero).abs() <= 1 + 1e-6).all()
        # |1 + g lambda|^2 - 1 = g (2 Re(lambda) + g |lambda|^2), for a longer step g
        assert (2 * nonzero.real + 1.001 * h * nonzero.abs() ** 2 > 0).any()


# ----------------------------------------------------------------- invertible things


@given(doubles(4, 3), doubles(4, 3), st.integers(0, 6), st.integers(0, 2**32))
def test_a_coupling_is_undone(x, x_tilde, depth, seed):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.randn(depth, 3, 3, generator=generator, dtype=torch.float64)
    fs = [lambda x, A=A: torch.sin(x @ A) for A in matrices]
    y = irevnet.coupling_forward(fs, x, x_tilde)
    for back in (
        irevnet.coupling_inverse(fs, *y),
        irevnet.coupling_forward(irevnet.inverse_element(fs), *y),
    ):
        assert torch.allclose(torch.stack(back), torch.stack([x, x_tilde]), atol=1e-9)


@given(sizes, st.floats(0.01, 0.99), sizes)
def test_so_many_iterations_are_needed_and_no_fewer(norm, rho, eps):
    k = iresnet.iterations_needed(norm, rho, eps)
    assert rho**k * norm <= eps
    assert k == 0 or rho ** (k - 1) * norm > eps


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**32))
def test_the_norm_of_a_circular_convolution(channels, k, size, seed):
    generator = torch.Generator().manual_seed(seed)
    conv = torch.nn.Conv2d(
        channels, channels, k, padding="same", padding_mode="circular"
    ).double()
    torch.nn.init.normal_(conv.weight, generator=generator)
    if k > size:
        return
    truth = torch.linalg.matrix_norm(iresnet.conv_matrix(conv, size), 2)
    found = iresnet.conv_norm(conv.weight, size, "circular")
    assert found.item() == pytest.approx(truth.item(), rel=1e-9)


# --------------------------------------------------------------------------- video


@given(st.integers(2, 30), st.data())
def test_a_mask_holds_out_what_it_says(n_frames, data):
    held_out = data.draw(st.integers(0, n_frames - 1))
    n_random = data.draw(st.integers(0, n_frames - 1))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    mask = video.frame_mask(n_frames, held_out, n_random, generator)
    assert mask.shape == (n_frames,) and mask.dtype is torch.bool
    assert not mask[held_out] and mask.sum() == n_frames - 1 - n_random


@given(doubles(4, 2), doubles(4, 2), st.floats(0.1, 2))
def test_collisions_keep_momentum_and_energy(x, v, radius):
    after = video.collide(x, v, radius)
    torch.testing.assert_close(after.sum(0), v.sum(0))
    torch.testing.assert_close(after.square().sum(), v.square().sum())
