"""Rotating digits and bouncing balls: exact motion, conserved energy, honest masks."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from odenets.data import affine, video


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(n: int = 28) -> torch.Tensor:
    """Random images with a black margin, as a written digit has one."""
    images = torch.zeros(3, n, n, dtype=torch.float64)
    inner = torch.rand(3, n // 2, n // 2, generator=seeded(), dtype=torch.float64)
    images[:, n // 4 : n // 4 + n // 2, n // 4 : n // 4 + n // 2] = inner
    return images


# ------------------------------------------------------------------ rotating digits


@pytest.mark.parametrize("n", [28, 27])
def test_rotation_agrees_with_scipy(n):
    images = blob(n)
    videos = video.rotating_digits(images, 16)
    for k in range(16):
        expected = np.stack(
            [
                ndimage.rotate(image.numpy(), 360 * k / 16, reshape=False, order=1)
                for image in images
            ]
        )
        np.testing.assert_allclose(videos[:, k], expected.clip(0, 1), atol=1e-12)


def test_quarter_turns_are_exact_and_counter_clockwise():
    images = blob()
    videos = video.rotating_digits(images, 16)
    assert videos.shape == (3, 16, 28, 28)
    torch.testing.assert_close(videos[:, 0], images)
    for quarter in range(4):
        expected = torch.rot90(images, quarter, dims=(1, 2))
        torch.testing.assert_close(videos[:, 4 * quarter], expected)


def test_rotating_digits_stay_grey_values_of_the_dtype():
    videos = video.rotating_digits(blob().float(), 5)
    assert videos.dtype == torch.float32
    assert videos.min() >= 0 and videos.max() <= 1


def test_a_warp_reads_at_the_places_of_its_map():
    images = blob()  # (3, 28, 28)
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(affine.warp(images, swap), images.mT)
    # One pixel is 2 / 28 wide: each image shows its right, its lower, no neighbour.
    steps = torch.tensor([[2 / 28, 0.0], [0.0, 2 / 28], [0.0, 0.0]])
    moved = affine.warp(images, torch.eye(2).expand(3, 2, 2), steps)
    torch.testing.assert_close(moved[0, :, :-1], images[0, :, 1:], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[1, :-1], images[1, 1:], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[2], images[2])
    assert moved[0, :, -1].abs().max() == 0


# ------------------------------------------------------------------ bouncing balls


def energy_and_momentum(v):
    return v.square().sum(dim=(-1, -2)), v.sum(dim=-2)


@pytest.mark.parametrize("approaching_only", [True, False])
def test_collisions_keep_energy_and_momentum(approaching_only):
    x = 4 * torch.rand(500, 4, 2, generator=seeded(1), dtype=torch.float64)
    v = torch.randn(500, 4, 2, generator=seeded(2), dtype=torch.float64)
    before = v.clone()
    after = video.collide(x, v, 1.2, approaching_only)
    torch.testing.assert_close(v, before)  # the input is left unchanged
    assert (after != v).any()
    for one, other in zip(energy_and_momentum(v), energy_and_momentum(after)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_head_on_collision_exchanges_velocities():
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    v = torch.tensor([[1.0, 0.3], [-0.5, 0.1]])
    expected = torch.tensor([[-0.5, 0.3], [1.0, 0.1]])
    torch.testing.assert_close(video.collide(x, v, 1.2), expected)


def test_oblique_collision_acts_along_the_line_of_centres_only():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.5, -0.5], [0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(video.collide(x, v, 1.2), expected)


def test_far_or_parting_discs_are_left_alone():
    v = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    far = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    near = torch.tensor([[2.0, 0.0], [0.0, 0.0]])  # the right one flies to the right
    torch.testing.assert_close(video.collide(far, v, 1.2), v)
    torch.testing.assert_close(video.collide(near, v, 1.2), v)
    turned = video.collide(near, v, 1.2, approaching_only=False)
    torch.testing.assert_close(turned, v.flip(0))  # the original's rule


def test_scenes_start_as_described():
    x, v = video.place_balls(400, 3, seeded())
    assert x.min() >= 2 and x.max() <= video.BOX - video.RADIUS
    for i in range(3):
        for j in range(i):
            gap = (x[:, i] - x[:, j]).norm(dim=-1)
            assert gap.min() >= 2 * video.RADIUS
    norms = v.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, video.SPEED))


def test_energy_is_conserved_on_the_way():
    _, v = video.ball_paths(300, 50, generator=seeded())
    energy = v.square().sum(dim=(-1, -2))
    expected = torch.full_like(energy, video.SPEED**2)
    torch.testing.assert_close(energy, expected, rtol=0, atol=1e-12)


def test_momentum_changes_only_at_walls():
    x, v = video.ball_paths(300, 20, generator=seeded())
    change = (v[:, 1:] - v[:, :-1]).sum(dim=2).abs().amax(dim=-1)
    # Far from every wall at both ends of a frame, no ball has met one in between.
    margin = video.RADIUS + video.SPEED
    inside = ((x > margin) & (x < video.BOX - margin)).all(dim=(2, 3))
    free = inside[:, 1:] & inside[:, :-1]
    assert free.sum() > 100
    assert change[free].max() < 1e-12
    assert change[~free].max() > 0.1


def test_balls_stay_in_the_box():
    x, _ = video.ball_paths(300, 100, generator=seeded())
    overshoot = video.SPEED / video.SUB_STEPS
    low, high = video.RADIUS - overshoot, video.BOX - video.RADIUS + overshoot
    assert x.min() > low and x.max() < high


def test_free_flight_is_straight():
    x = torch.tensor([[[5.0, 5.0]]], dtype=torch.float64)
    v = torch.tensor([[[0.3, -0.4]]], dtype=torch.float64)
    for _ in range(4):
        x, v = video.move_balls(x, v)
    expected = torch.tensor([[[5.6, 4.2]]], dtype=torch.float64)
    torch.testing.assert_close(x, expected)


def test_walls_turn_the_velocity_inwards():
    x = torch.tensor([[[1.3, 5.0]]])
    v = torch.tensor([[[-0.4, 0.3]]])
    x, v = video.move_balls(x, v)
    torch.testing.assert_close(v, torch.tensor([[[0.4, 0.3]]]))
    torch.testing.assert_close(x, torch.tensor([[[1.1, 5.15]]]))


def test_drawing_follows_the_formula():
    positions = torch.tensor([[3.0, 6.0], [5.0, 6.5]])
    image = video.draw_balls(positions, 32)
    assert image.shape == (32, 32) and image.dtype == torch.float32
    for row, column in [(0, 0), (9, 19), (11, 21), (16, 20), (15, 17)]:
        centre = (np.array([row, column]) + 0.5) * 10 / 32
        squares = ((centre - positions.numpy()) ** 2).sum(axis=1) / 1.2**2
        expected = min(1.0, np.exp(-(squares**4)).sum())
        assert image[row, column].item() == pytest.approx(expected, abs=1e-5)


def test_same_seed_same_videos():
    one = video.bouncing_balls(6, 5, generator=seeded(3))
    assert one.shape == (6, 5, 32, 32)
    assert torch.equal(one, video.bouncing_balls(6, 5, generator=seeded(3)))
    assert not torch.equal(one, video.bouncing_balls(6, 5, generator=seeded(4)))
    assert one.min() >= 0 and one.max() <= 1


# ------------------------------------------------------------------ hold-out


def test_mask_drops_the_held_out_frame_and_others():
    generator = seeded()
    masks = torch.stack([video.frame_mask(16, 4, 3, generator) for _ in range(400)])
    assert masks.dtype == torch.bool and not masks[:, 4].any()
    assert (masks.sum(dim=1) == 12).all()
    kept = masks.float().mean(dim=0)
    others = torch.tensor([k for k in range(16) if k != 4])
    assert (kept[others] - 12 / 15).abs().max() < 5 * (0.16 / 400) ** 0.5


@pytest.mark.parametrize("held_out", [0, 4])
def test_mask_without_random_frames(held_out):
    mask = video.frame_mask(5, held_out, 0, seeded())
    assert mask.tolist() == [k != held_out for k in range(5)]
