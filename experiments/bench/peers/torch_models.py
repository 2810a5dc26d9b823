"""The networks of the benchmarks in hand-written PyTorch: channels_last, data on the device, no data loader.

python -m experiments.bench.peers.torch_models --model=cnn --batch_size=32
"""

import torch
from torch import nn
from torch.nn import functional

from experiments.bench.peers import timing, torch_transformers, torch_translation


def _normalised(width: int, norm: type[nn.Module]) -> list[nn.Module]:
    return [norm(width, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.3)]


class Trained(nn.Module):
    """Network with a loss, trained by Adam."""

    def prepare(self):
        self.optimizer = torch.optim.Adam(self.parameters(), 5e-4, eps=1e-7)

    def step(self, images, labels):
        loss = self.loss(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


class Classifier(nn.Sequential, Trained):
    """Classifier: layers that end in logits."""

    def loss(self, images, labels):
        return functional.cross_entropy(self(images), labels)


def mlp() -> Classifier:
    """Returns the book's MLP (02_01)."""
    return Classifier(nn.Flatten(), nn.Linear(3072, 200), nn.ReLU(), nn.Linear(200, 150), nn.ReLU(), nn.Linear(150, 10))


def cnn() -> Classifier:
    """Returns the book's CNN (02_03)."""
    layers, channels = [], 3
    for filters, stride in ((32, 1), (32, 2), (64, 1), (64, 2)):
        layers += [nn.Conv2d(channels, filters, 3, stride, padding=1), *_normalised(filters, nn.BatchNorm2d)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(4096, 128), *_normalised(128, nn.BatchNorm1d), nn.Dropout(0.5)]
    return Classifier(*layers, nn.Linear(128, 10))


class VAE(Trained):
    """The book's VAE of digits (03_03)."""

    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for filters, stride in ((32, 1), (64, 2), (64, 2), (64, 1)):
            layers += [nn.Conv2d(channels, filters, 3, stride, padding=1), nn.LeakyReLU(0.3)]
            channels = filters
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean, self.log_var = nn.Linear(3136, 2), nn.Linear(3136, 2)
        layers = [nn.Linear(2, 3136), nn.Unflatten(1, (64, 7, 7))]
        for filters, stride in ((64, 1), (64, 2), (32, 2)):
            layers += [nn.ConvTranspose2d(channels, filters, 3, stride, 1, stride - 1), nn.LeakyReLU(0.3)]
            channels = filters
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(channels, 1, 3, 1, 1), nn.Sigmoid())

    def loss(self, images, labels):
        del labels
        features = self.encoder(images)
        mean, log_var = self.mean(features), self.log_var(features)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1).mean()
        return 1000 * functional.mse_loss(self.decoder(z), images) + divergence


def _generator(first: tuple[int, int], filters: tuple[int, ...], transposed: int, activation, momentum: float):
    """Returns a generator from noise (B, 100) to images.

    Args:
      first: channels and size of the first map.
      filters: channels of the convolutions.
      transposed: not 0 for transposed convolutions; 0 for convolutions, the first two after upsampling.
      activation: class of the activation.
      momentum: of batch normalisation.
    """
    channels, size = first
    units = channels * size * size
    layers = [nn.Linear(100, units), nn.BatchNorm1d(units, 1e-3, momentum), activation()]
    layers += [nn.Unflatten(1, (channels, size, size))]
    for i, width in enumerate(filters):
        if transposed:
            layers.append(nn.ConvTranspose2d(channels, width, 5, 2, 2, 1))
        else:
            layers += [nn.Upsample(scale_factor=2)] if i < 2 else []
            layers.append(nn.Conv2d(channels, width, 5, padding=2))
        last = i == len(filters) - 1
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(width, 1e-3, momentum), activation()]
        channels = width
    return nn.Sequential(*layers)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def _critic(channels: int, layers: tuple[tuple[int, int], ...], units: int, activation, dropout: float):
    """Returns a critic from images to one score each."""
    modules = []
    for width, stride in layers:
        modules += [nn.Conv2d(channels, width, 5, stride, padding=2), activation(), nn.Dropout(dropout)]
        channels = width
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(units, 1))


class GAN(nn.Module):
    """The book's GAN (04_01): the critic is updated on real and on generated drawings in turn."""

    def __init__(self):
        super().__init__()
        self.generator = _generator((64, 7), (128, 64, 64, 1), 0, nn.ReLU, 0.1)
        self.critic = _critic(1, ((64, 2), (64, 2), (128, 2), (128, 1)), 2048, nn.ReLU, 0.4)

    def prepare(self):
        self.generator_optimizer = torch.optim.RMSprop(self.generator.parameters(), 4e-4, 0.9, 1e-7)
        self.critic_optimizer = torch.optim.RMSprop(self.critic.parameters(), 8e-4, 0.9, 1e-7)

    def step(self, images, labels):
        del labels
        with torch.no_grad():
            self.generator.eval()
            fakes = self.generator(torch.randn(len(images), 100, device=images.device))
            self.generator.train()
        for shown, sign in ((2 * images - 1, -1), (fakes, 1)):
            loss = functional.softplus(sign * self.critic(shown)).mean()
            self.critic_optimizer.zero_grad()
            loss.backward()
            self.critic_optimizer.step()
        fakes = self.generator(torch.randn(len(images), 100, device=images.device))
        self.critic.requires_grad_(False)
        loss = functional.softplus(-self.critic(fakes)).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        return loss


class WGANGP(nn.Module):
    """The book's WGAN-GP (04_03), with five critic updates per step."""

    def __init__(self):
        super().__init__()
        self.generator = _generator((512, 4), (256, 128, 64, 3), 4, _leaky, 0.1)
        self.critic = _critic(3, ((64, 2), (128, 2), (256, 2), (512, 2)), 8192, _leaky, 0.0)

    def prepare(self):
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), 2e-4, (0.5, 0.999), 1e-7)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), 2e-4, (0.5, 0.999), 1e-7)

    def step(self, images, labels):
        del labels
        for real in (2 * images - 1).chunk(timing.BATCHES["wgan_gp"]):
            with torch.no_grad():
                fakes = self.generator(torch.randn(len(real), 100, device=real.device))
            alpha = torch.rand(len(real), 1, 1, 1, device=real.device)
            points = (alpha * real + (1 - alpha) * fakes).requires_grad_()
            (gradients,) = torch.autograd.grad(self.critic(points).sum(), points, create_graph=True)
            penalty = ((gradients.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()
            loss = self.critic(fakes).mean() - self.critic(real).mean() + 10 * penalty
            self.critic_optimizer.zero_grad()
            loss.backward()
            self.critic_optimizer.step()
        self.critic.requires_grad_(False)
        loss = -self.critic(self.generator(torch.randn(len(real), 100, device=real.device))).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        return loss


class TextRNN(Trained):
    """The book's text LSTM (06_01)."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(timing.VOCABULARY, 100)
        self.lstm = nn.LSTM(100, 256, batch_first=True)
        self.words = nn.Linear(256, timing.VOCABULARY)

    def prepare(self):
        self.optimizer = torch.optim.RMSprop(self.parameters(), 1e-3, 0.9, 1e-7)

    def loss(self, tokens, targets):
        states, _ = self.lstm(self.embedding(tokens))
        return functional.cross_entropy(self.words(states[:, -1]), targets)


MODELS = {"mlp": mlp, "cnn": cnn, "vae": VAE, "gan": GAN, "wgan_gp": WGANGP, "text_rnn": TextRNN}
MODELS |= torch_translation.MODELS | torch_transformers.MODELS


def random_data(model: str, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns random inputs (count, ...) and targets (count, ...) of a model: classes, tokens or images."""
    if model in torch_transformers.MODELS:
        return torch_transformers.random_tokens(model, count, device)
    if model == "text_rnn":
        tokens, following = map(torch.from_numpy, timing.random_tokens(count))
        return tokens.long().to(device), following.long().to(device)

    def images(seed):
        return torch.from_numpy(timing.random_images(model, count, seed)).permute(0, 3, 1, 2).to(device)

    if model in timing.OF_TWO_IMAGES:
        return images(0), images(1)
    return images(0), torch.from_numpy(timing.random_labels(count)).long().to(device)


def main():
    options = timing.parse(__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    examples = options.batch_size * timing.BATCHES.get(options.model, 1)
    count = examples * options.steps
    inputs, labels = random_data(options.model, count, device)
    network = MODELS[options.model]().to(device).to(memory_format=torch.channels_last)
    network.prepare()
    stopwatch = timing.Stopwatch(options.steps)
    for _ in range(options.windows + timing.WARM_UP):
        for rows in torch.randperm(count, device=device).split(examples):
            batch = [
                array[rows].contiguous(memory_format=torch.channels_last) if array.ndim == 4 else array[rows]
                for array in (inputs, labels)
            ]
            loss = network.step(*batch)
        loss.item()  # waits for the device
        stopwatch.mark()
    stopwatch.report(f"PyTorch {torch.__version__}, by hand")


if __name__ == "__main__":
    main()
