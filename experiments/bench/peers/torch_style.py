"""Loss of neural style transfer and its gradient in hand-written PyTorch, channels_last.

python -m experiments.bench.peers.torch_style --problem=problem.npz --evaluations=2

The file has VGG16's kernels and biases in order, the picture, the features to match and the weights of the terms. The
program prints {"loss"}, then for each line of standard input {"ms_per_step"} of a window of evaluations.
"""

import argparse
import json
import sys
import time

import numpy as np
import torch
from torch.nn import functional


class Problem:
    """Loss of a picture.

    Attributes:
      image: (1, 3, H, W), RGB in [0, 1].
    """

    def __init__(self, arrays, device):
        def load(name):
            return torch.from_numpy(arrays[name]).to(device)

        self.names = [str(name) for name in arrays["layers"]]  # of the convolutions, in order
        last = torch.channels_last
        self.kernels = [
            load(f"kernel/{name}").permute(3, 2, 0, 1).contiguous(memory_format=last) for name in self.names
        ]
        self.biases = [load(f"bias/{name}") for name in self.names]
        self.image = load("image").permute(0, 3, 1, 2).contiguous(memory_format=last).requires_grad_()
        self.mean = load("mean_bgr").view(1, 3, 1, 1)
        self.content = {name: load(f"content/{name}").permute(0, 3, 1, 2) for name in arrays["content_layers"]}
        self.grams = {name: load(f"gram/{name}")[0] for name in arrays["style_layers"]}
        self.factors = {name: float(arrays[f"factor/{name}"]) for name in {*self.content, *self.grams}}
        self.weights = {name: float(arrays[f"weight/{name}"]) for name in ("content", "style", "total_variation")}
        self.unit = float(arrays["unit"])

    def features(self):
        """Returns {layer: (1, C, h, w)}."""
        x, found = 255.0 * self.image.flip(1) - self.mean, {}
        for name, kernel, bias in zip(self.names, self.kernels, self.biases, strict=True):
            if name.endswith("conv1") and name != "block1_conv1":
                x = functional.max_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            if name in self.factors:
                found[name] = self.factors[name] * x
        return found

    def loss(self):
        """Returns the loss divided by its unit."""
        found, size = self.features(), self.image.shape[2] * self.image.shape[3]
        content = sum((found[name] - target).square().sum() for name, target in self.content.items())
        style = 0.0
        for name, target in self.grams.items():
            flat = found[name].permute(0, 2, 3, 1).reshape(-1, len(target))  # a view: channels are last in memory
            gram = flat.T @ flat / len(flat)
            style = style + (len(flat) / size) ** 2 / 36 * (gram - target).square().sum() / len(self.grams)
        pixels = 255.0 * self.image
        corner = pixels[:, :, :-1, :-1]
        squares = (corner - pixels[:, :, 1:, :-1]).square() + (corner - pixels[:, :, :-1, 1:]).square()
        terms = {"content": content, "style": style, "total_variation": (squares**1.25).sum()}
        return sum(self.weights[name] * term for name, term in terms.items()) / self.unit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", required=True)
    parser.add_argument("--evaluations", type=int, default=2)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with np.load(options.problem) as arrays:
        problem = Problem({name: arrays[name] for name in arrays.files}, device)

    def evaluate():
        loss = problem.loss()
        (gradient,) = torch.autograd.grad(loss, problem.image)
        gradient.sum().item()  # waits for the device
        return loss.item()

    print(json.dumps({"loss": evaluate()}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(options.evaluations):
            evaluate()
        print(json.dumps({"ms_per_step": 1000 * (time.perf_counter() - began) / options.evaluations}), flush=True)


if __name__ == "__main__":
    main()
