"""One update of the book's CycleGAN (05_01) and of a small pix2pix in hand-written PyTorch, for `torch_models`.

CycleGAN: U-Net and PatchGAN of 32 filters with instance normalisation, at 128x128. pix2pix: U-Net of 7 levels and 32
filters, conditional PatchGAN of 32 filters. Losses, order of updates and reuse of translations are those of the
official code (Zhu et al. 2017), without the pool of earlier translations, which takes next to no time.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional

CYCLE_WEIGHT, IDENTITY_WEIGHT, L1_WEIGHT = 10.0, 2.0, 100.0
EPSILON = 1e-5


class InstanceNorm(nn.Module):
    """Instance normalisation without scale and bias; in channels_last it takes less time than nn.InstanceNorm2d."""

    def forward(self, x):
        images = [functional.batch_norm(image, None, None, training=True, eps=EPSILON) for image in x.split(1)]
        return images[0] if len(images) == 1 else torch.cat(images)


class UNet(nn.Module):
    """U-Net: `down` halves the image in steps; `up` doubles it, with the features of each size concatenated."""

    def __init__(self, down: list[nn.Module], up: list[nn.Module]):
        super().__init__()
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)

    def forward(self, x):
        features = []
        for layer in self.down:
            x = layer(x)
            features.append(x)
        features.pop()
        for layer in self.up[:-1]:
            x = torch.cat([layer(x), features.pop()], 1)
        return self.up[-1](x)


def book_unet() -> UNet:
    """Returns the book's U-Net (05_01), 1,545,411 parameters."""
    down, channels = [], 3
    for width in (32, 64, 128, 256):
        down.append(nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), InstanceNorm(), nn.ReLU()))
        channels = width
    up = []
    for width in (128, 64, 32):
        convolution = nn.Conv2d(channels, width, 4, padding="same")
        up.append(nn.Sequential(nn.Upsample(scale_factor=2), convolution, InstanceNorm(), nn.ReLU()))
        channels = 2 * width
    up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, 3, 4, padding="same"), nn.Tanh()))
    return UNet(down, up)


def pix2pix_unet() -> UNet:
    """Returns pix2pix's U-Net for 128x128 (Isola et al. 2017) with 32 filters, 10,461,507 parameters."""
    widths = (32, 64, 128, 256, 256, 256, 256)
    down = [nn.Conv2d(3, widths[0], 4, 2, 1, bias=False)]
    for channels, width in itertools.pairwise(widths):
        down.append(nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(channels, width, 4, 2, 1, bias=False)))
        if len(down) < len(widths):
            down[-1].append(nn.BatchNorm2d(width))
    up, channels = [], widths[-1]
    for i, width in enumerate(widths[-2::-1]):
        convolution = nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False)
        up.append(nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(width)))
        if i < 3:
            up[-1].append(nn.Dropout(0.5))
        channels = 2 * width
    up.append(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh()))
    return UNet(down, up)


def patch_gan(channels: int, batch_norm: bool) -> nn.Sequential:
    """Returns the PatchGAN of 32 filters, padded as in the book: images (B, channels, H, W) -> (B, 1, H / 8, W / 8).

    Args:
      channels: 3 for the book's, 694,241 parameters; 6 for pix2pix's, 696,225 parameters with batch normalisation.
      batch_norm: batch instead of instance normalisation.
    """
    layers = [nn.Conv2d(channels, 32, 4, 2, 1), nn.LeakyReLU(0.2)]
    for i, width in enumerate((64, 128, 256)):
        place = {"padding": "same"} if width == 256 else {"stride": 2, "padding": 1}
        layers.append(nn.Conv2d(32 * 2**i, width, 4, bias=not batch_norm, **place))
        layers += [nn.BatchNorm2d(width) if batch_norm else InstanceNorm(), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(256, 1, 4, padding="same"))


def _adam(*networks: nn.Module) -> torch.optim.Adam:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, 2e-4, (0.5, 0.999), 1e-7)


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _distance_to(score: torch.Tensor, target: float) -> torch.Tensor:
    return (score - target).square().mean()


class CycleGAN(nn.Module):
    """Two generators and two critics, least squares; the generators step first, the critics on the same images."""

    def __init__(self):
        super().__init__()
        self.a_to_b, self.b_to_a = book_unet(), book_unet()
        self.critic_a, self.critic_b = patch_gan(3, False), patch_gan(3, False)

    def prepare(self):
        self.generator_optimizer = _adam(self.a_to_b, self.b_to_a)
        self.critic_optimizer = _adam(self.critic_a, self.critic_b)

    def step(self, a, b):
        a, b = 2 * a - 1, 2 * b - 1
        l1 = functional.l1_loss
        self.critic_a.requires_grad_(False)
        self.critic_b.requires_grad_(False)
        fake_a, fake_b = self.b_to_a(b), self.a_to_b(a)
        loss = _distance_to(self.critic_a(fake_a), 1.0) + _distance_to(self.critic_b(fake_b), 1.0)
        loss = loss + CYCLE_WEIGHT * (l1(self.b_to_a(fake_b), a) + l1(self.a_to_b(fake_a), b))
        loss = loss + IDENTITY_WEIGHT * (l1(self.b_to_a(a), a) + l1(self.a_to_b(b), b))
        _descend(self.generator_optimizer, loss)
        self.critic_a.requires_grad_(True)
        self.critic_b.requires_grad_(True)
        shown = ((self.critic_a, a, fake_a), (self.critic_b, b, fake_b))
        errors = [
            _distance_to(critic(real), 1.0) + _distance_to(critic(fake.detach()), 0.0) for critic, real, fake in shown
        ]
        _descend(self.critic_optimizer, 0.5 * sum(errors))
        return loss


class Pix2Pix(nn.Module):
    """A generator and a conditional critic, cross-entropy and L1; the critic steps first, on the same images."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = pix2pix_unet(), patch_gan(6, True)

    def prepare(self):
        self.generator_optimizer, self.critic_optimizer = _adam(self.generator), _adam(self.critic)

    def step(self, a, b):
        a, b = 2 * a - 1, 2 * b - 1
        fake = self.generator(a)
        on_fake = functional.softplus(self.critic(torch.cat([a, fake.detach()], 1))).mean()
        on_real = functional.softplus(-self.critic(torch.cat([a, b], 1))).mean()
        _descend(self.critic_optimizer, 0.5 * (on_fake + on_real))
        self.critic.requires_grad_(False)
        loss = functional.softplus(-self.critic(torch.cat([a, fake], 1))).mean()
        loss = loss + L1_WEIGHT * functional.l1_loss(fake, b)
        _descend(self.generator_optimizer, loss)
        self.critic.requires_grad_(True)
        return loss


MODELS = {"cyclegan": CycleGAN, "pix2pix": Pix2Pix}
