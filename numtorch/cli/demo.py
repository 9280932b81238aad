"""Train a small convolutional network on handwritten digits, from nothing to
99 % in seconds.

1,437 images of 8 x 8 pixels to train on, 360 others to see how well it reads
what it has not seen. Writes a picture of the training (SVG) and a checkpoint,
which PyTorch's torch.load opens too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

HELP = "train a small convolutional network on handwritten digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=_positive, default=20, help="passes over the training images (%(default)s)")
    parser.add_argument("--batch-size", type=_positive, default=64, help="images a step (%(default)s)")
    parser.add_argument("--lr", type=_rate, default=3e-3, help="learning rate at the start (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("numtorch-demo"), metavar="DIR", help="where to write (%(default)s)"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value} is not a learning rate")
    return value


def main(options: argparse.Namespace) -> int:
    import numtorch as torch
    from numtorch.datasets import Digits

    from .figure import training_figure

    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # before the training, not after it
        print(f"numtorch demo: cannot write to {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    start = perf_counter()
    torch.manual_seed(options.seed)
    train, held_out = Digits(train=True), Digits(train=False)
    net = make_network()
    count = sum(parameter.numel() for parameter in net.parameters())
    print(f"LeNet with {count:,} parameters, {len(train):,} digits to learn, {len(held_out)} held out")
    losses, accuracies, guesses = fit(net, train, held_out, options)
    right, seconds = round(accuracies[-1] * len(held_out)), perf_counter() - start
    print(f"reads {right} of {len(held_out)} held-out digits: {accuracies[-1]:.2%} ({seconds:.1f} s)")

    checkpoint = options.out / "digits.pth"
    torch.save({"model": net.state_dict(), "epochs": options.epochs, "accuracy": accuracies[-1]}, checkpoint)
    picture = options.out / "digits.svg"
    title = f"numtorch demo: {accuracies[-1]:.2%} of {len(held_out)} held-out digits"
    figure = training_figure(losses, accuracies, _samples(held_out, guesses), title)
    picture.write_text(figure, encoding="utf-8")
    print(f"""\
wrote {picture} (open it in a browser) and {checkpoint} (torch.load opens it in PyTorch too)

what to try next:
  numtorch run your_script.py       a PyTorch script of yours, unmodified, on numtorch
  numtorch gradcheck                check the derivatives of every operator
  numtorch info                     what it runs on\
""")
    return 0


def make_network():
    """LeNet for 8 x 8 pixels: twice convolution, ReLU and 2 x 2 max pooling, then two linear layers."""
    from numtorch import nn

    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * 2 * 2, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def fit(net, train, held_out, options: argparse.Namespace) -> tuple[list[float], list[float], list[int]]:
    """Train; returns mean loss and held-out accuracy of each epoch, and the last predictions."""
    import numtorch as torch
    from numtorch import nn, optim
    from numtorch.utils.data import DataLoader

    from .progress import Progress, listening

    loader = DataLoader(train, options.batch_size, shuffle=True)
    optimizer = optim.Adam(net.parameters(), lr=options.lr)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    criterion = nn.CrossEntropyLoss()
    images, labels = held_out.tensors
    losses, accuracies = [], []
    progress = Progress("training", options.epochs * len(loader))
    with progress, listening(progress) as compilation:
        for epoch in range(1, options.epochs + 1):
            start = perf_counter()
            net.train()
            total = 0.0
            for batch, targets in loader:
                optimizer.zero_grad()
                loss = criterion(net(batch), targets)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(targets)
                progress.advance()
            scheduler.step()
            net.eval()
            with torch.no_grad():
                guesses = net(images).argmax(1)
            losses.append(total / len(train))
            accuracies.append((guesses == labels).float().mean().item())
            _report(progress, epoch, options.epochs, losses[-1], accuracies[-1], perf_counter() - start)
            if epoch == 1 and (compilation.names or compilation.loaded):
                progress.print(compilation.summary())
    return losses, accuracies, guesses.tolist()


def _report(progress, epoch: int, epochs: int, loss: float, accuracy: float, seconds: float) -> None:
    progress.tell(f"loss {loss:.4f}")
    progress.print(f"epoch {epoch:2}/{epochs}  loss {loss:.4f}  held-out accuracy {accuracy:7.2%}  {seconds:5.2f} s")


def _samples(held_out, guesses: list[int], count: int = 40) -> list[tuple]:
    """All mistakes first, then the next images, as (pixels, label, prediction)."""
    images, labels = held_out.tensors
    truth = labels.tolist()
    order = sorted(range(len(truth)), key=lambda i: (guesses[i] == truth[i], i))
    return [(images[i, 0].tolist(), truth[i], guesses[i]) for i in order[:count]]
