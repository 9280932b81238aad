"""Whole training steps: forward, loss, backward, optimizer."""

from . import Family

FAMILY = Family("training")
workload = FAMILY.workload


def _step(torch, net, optimizer, loss_function, x, target):
    def run():
        optimizer.zero_grad()
        loss = loss_function(net(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return run


@workload("two-layer net by hand, 100x64 -> 1000 -> 10")
def two_layer_net(torch):
    torch.manual_seed(0)
    x, y = torch.randn(100, 64), torch.randn(100, 10)
    w1 = torch.randn(64, 1000, requires_grad=True)
    w2 = torch.randn(1000, 10, requires_grad=True)

    def run():
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w1.sub_(1e-9 * w1.grad)
            w2.sub_(1e-9 * w2.grad)
        w1.grad = w2.grad = None

    return run


@workload("MLP 784 -> 128 -> 64 -> 10, batch 64, SGD")
def mlp(torch):
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    x, target = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    return _step(torch, net, optimizer, nn.CrossEntropyLoss(), x, target)


@workload("LeNet, batch 64, SGD")
def lenet(torch):
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    x, target = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    return _step(torch, net, optimizer, nn.CrossEntropyLoss(), x, target)


@workload("small ResNet, 16x3x32x32, SGD")
def resnet(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            same = stride == 1
            self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

        def forward(self, x):
            out = torch.relu(self.norm1(self.conv1(x)))
            return torch.relu(self.norm2(self.conv2(out)) + self.shortcut(x))

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    x, target = torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))
    return _step(torch, net, optimizer, nn.CrossEntropyLoss(), x, target)


@workload("char-LSTM 64 -> 128, 32 steps of batch 16, Adam")
def char_lstm(torch):
    nn = torch.nn

    class CharLSTM(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(65, 64)
            self.lstm = nn.LSTM(64, 128)
            self.decoder = nn.Linear(128, 65)

        def forward(self, text):
            return self.decoder(self.lstm(self.embedding(text))[0]).view(-1, 65)

    torch.manual_seed(0)
    net = CharLSTM()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    text, target = torch.randint(0, 65, (32, 16)), torch.randint(0, 65, (512,))
    return _step(torch, net, optimizer, nn.CrossEntropyLoss(), text, target)
