"""The book's networks in PyTorch, written by hand: channels_last, data on the device, no loader in between.

python -m experiments.peers.torch_models --model=cnn --batch_size=32
"""

import torch
from torch import nn
from torch.nn import functional

from experiments.peers import timing


def _normalised(width: int, norm: type[nn.Module]) -> list[nn.Module]:
    return [norm(width, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.3)]


class Classifier(nn.Sequential):
    """Layers that end in logits."""

    def loss(self, images, labels):
        return functional.cross_entropy(self(images), labels)


def mlp() -> Classifier:
    """The book's 02_01."""
    return Classifier(nn.Flatten(), nn.Linear(3072, 200), nn.ReLU(), nn.Linear(200, 150), nn.ReLU(), nn.Linear(150, 10))


def cnn() -> Classifier:
    """The book's 02_03."""
    layers, channels = [], 3
    for filters, stride in ((32, 1), (32, 2), (64, 1), (64, 2)):
        layers += [nn.Conv2d(channels, filters, 3, stride, padding=1), *_normalised(filters, nn.BatchNorm2d)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(4096, 128), *_normalised(128, nn.BatchNorm1d), nn.Dropout(0.5)]
    return Classifier(*layers, nn.Linear(128, 10))


class VAE(nn.Module):
    """The book's 03_03."""

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


MODELS = {"mlp": mlp, "cnn": cnn, "vae": VAE}


def main():
    options = timing.parse(__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    count = options.batch_size * options.steps
    images = torch.from_numpy(timing.random_images(options.model, count)).permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(timing.random_labels(count)).long().to(device)
    network = MODELS[options.model]().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 5e-4, eps=1e-7)
    stopwatch = timing.Stopwatch(options.steps)
    for _ in range(options.windows + timing.WARM_UP):
        for rows in torch.randperm(count, device=device).split(options.batch_size):
            loss = network.loss(images[rows].contiguous(memory_format=torch.channels_last), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device
        stopwatch.mark()
    stopwatch.report(f"PyTorch {torch.__version__}, by hand")


if __name__ == "__main__":
    main()
