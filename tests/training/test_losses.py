import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from confostain.evaluation.reference_metrics import ssim
from confostain.imaging.linear_stain import gareau
from confostain.simulation.speckle import Speckle
from confostain.training import losses


def noise(seed: int, channels: int = 3, sigma: float = 1.0) -> Tensor:
    """Smooth noise in [0, 1], (1, channels, 64, 64)."""
    field = np.random.default_rng(seed).standard_normal((channels, 64, 64))
    field = gaussian_filter(field, (0, sigma, sigma))
    return torch.from_numpy(((field - field.min()) / (field.max() - field.min())).astype(np.float32))[None]


def test_the_composite_is_the_gareau_image() -> None:
    pair = noise(0, 2)
    expected = gareau(pair[0].numpy()) / 255
    np.testing.assert_allclose(
        losses.gareau_composite(pair)[0].permute(1, 2, 0).numpy(), expected, atol=0.5 / 255 + 1e-6
    )


def test_ssim_is_the_usual_one() -> None:
    a, b = noise(1, 1), 0.7 * noise(1, 1) + 0.3 * noise(2, 1)
    inner = ssim(a[0, 0].numpy(), b[0, 0].numpy())
    assert float(losses.ssim(a, b)) == pytest.approx(inner, abs=0.01)
    assert float(losses.ssim(a, a)) == pytest.approx(1)


def test_gradient_order_compares_signs_and_not_sizes() -> None:
    image = noise(3)
    assert float(losses.gradient_order(image, image)) == 0
    assert float(losses.gradient_order(0.5 + 0.5 * image, image)) < 0.1
    assert float(losses.gradient_order(1 - image, image)) > 2


def test_nuclei_correlation_is_high_where_nuclei_match_the_fluorescence() -> None:
    fluorescence = torch.zeros(1, 1, 64, 64)
    fluorescence[..., 20:26, 30:36] = 1
    made = torch.full((1, 3, 64, 64), 0.9)
    made[:, 0, 20:26, 30:36] = 0.4
    assert float(losses.nuclei_correlation(made, fluorescence)) < 0.01
    around = (19 * 19) / (50 * 50)  # share of squares that see the nucleus
    assert float(losses.nuclei_correlation(made.roll(30, -1), fluorescence)) > around  # one missing, one invented
    assert float(losses.nuclei_correlation(torch.full((1, 3, 64, 64), 0.9), fluorescence)) > 0.8 * around


def test_lbp_distance_compares_kinds_of_texture_wherever_they_are() -> None:
    image = noise(3)
    assert float(losses.lbp_distance(image, image)) == 0
    assert float(losses.lbp_distance(image.roll(20, -1), image)) < 0.003
    assert float(losses.lbp_distance(noise(3, sigma=3.0), image)) > 0.05


@pytest.mark.parametrize("grain", [1.0, 2.0])
def test_soft_patterns_are_nearly_the_usual_ones(grain: float) -> None:
    from confostain.evaluation.distribution_metrics import lbp_histogram

    image = noise(6, sigma=grain)
    usual = lbp_histogram(np.rint(losses.luminance(image)[0, 0].numpy() * 255).astype(np.uint8))
    np.testing.assert_allclose(losses._lbp_shares(losses.luminance(image)), usual, atol=0.05)


@pytest.mark.parametrize(
    "loss",
    [losses.structure, losses.gradient_order, losses.lbp_distance],
    ids=["structure", "gradient_order", "lbp_distance"],
)
def test_the_gradient_leads_to_the_reference(loss: object) -> None:
    reference = noise(4)
    made = (0.3 * noise(5, sigma=2.0) + 0.7 * noise(4)).requires_grad_()
    before = loss(made, reference)  # type: ignore[operator]
    before.backward()
    assert made.grad is not None
    after = loss(made.detach() - 0.0005 * made.grad.sign(), reference)  # type: ignore[operator]
    assert float(after) < float(before.detach())


def test_losses_of_despecklers() -> None:
    clean = torch.zeros(2, 1, 8, 8)
    made = clean + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    assert losses.squared_error(made, clean).item() == pytest.approx((1e-2 + 1e-4) / 2)
    assert losses.decibel_error(made, clean).item() == pytest.approx((-20 - 38.2) / 2, abs=0.1)
    assert losses.total_variation(made).item() == 0
    stripes = torch.tensor([0.0, 1.0] * 4).expand(1, 1, 8, 8)
    assert losses.total_variation(stripes).item() == 1


def test_adversarial_losses() -> None:
    ones, zeros = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    assert losses.discriminator_loss(ones, zeros).item() == 0
    assert losses.generator_loss(zeros).item() == 1


@pytest.mark.parametrize("period", [2, 4])
def test_a_grid_is_seen_and_texture_is_not(period: int) -> None:
    texture = 0.5 + 0.05 * torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    weave = torch.zeros(160, 160)
    weave[::period, ::period] = 3 / 255
    slope = torch.linspace(0, 1, 160).expand(2, 3, 160, 160)
    assert losses.grid(slope, period) < 0.01
    assert losses.grid(texture + weave, period) > losses.grid(texture, period) + 0.2
    assert losses.grid(texture + weave.roll(1, 0), period) > losses.grid(texture, period) + 0.2


def densities_of(rgb: Tensor) -> Tensor:
    """Densities (n, 3) of means over 2 px of (1, 3, h, w)."""
    halved = torch.nn.functional.avg_pool2d(rgb, 2)
    return -torch.log(halved).permute(0, 2, 3, 1).reshape(-1, 3)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2])
def test_colours_are_compared_wherever_they_are(shift: float) -> None:
    real = 0.4 + 0.3 * noise(5)
    made = real.flip(-1).roll(16, -2) - shift
    distance = float(losses.colour_distribution(made, densities_of(real), torch.Generator().manual_seed(1)))
    moved = float((densities_of(real - shift) - densities_of(real)).norm(dim=1).mean())
    # a shift projects on random directions by its length times their mean absolute cosine, 1 / 2
    assert distance == pytest.approx(moved / 2, rel=0.35, abs=0.02)  # pixels are drawn at random


def test_colours_have_a_gradient() -> None:
    real, made = 0.4 + 0.3 * noise(5), (0.5 + 0.3 * noise(6)).requires_grad_()
    losses.colour_distribution(made, densities_of(real), torch.Generator().manual_seed(1)).backward()
    assert float(made.grad.abs().sum()) > 0


@pytest.mark.parametrize("grain", [0.0, 0.5, 0.9])
def test_pure_speckle_has_the_statistics_of_speckle(grain: float) -> None:
    speckle = Speckle(20, grain)
    clean = torch.full((3, 1, 128, 128), 0.5)
    noisy = torch.stack([torch.from_numpy(speckle.recorded(one[0].numpy(), i))[None] for i, one in enumerate(clean)])
    scale, expected = clean / np.sqrt(20), torch.tensor([[1.0, *speckle.correlation(2)]]).expand(3, 3)
    right = float(losses.residual_statistics(noisy - clean, scale, expected))
    assert right < 0.05
    smooth = torch.nn.functional.avg_pool2d(noisy, 3, 1, 1)  # a result that keeps what is coarse in the speckle
    kept = float(losses.residual_statistics(noisy - smooth, scale, expected))
    assert kept > right + 0.05
    assert float(losses.residual_statistics(noisy - noisy, scale, expected)) > 0.3
