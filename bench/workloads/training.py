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

    run.tensors = (*net.parameters(), x, target)  # what others.py starts the same step from in another library
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
        return loss

    run.tensors = (w1, w2, x, y)
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


def _basic_block(torch):
    """The residual block of He et al., "Deep residual learning for image recognition", 2015, figure 2."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Identity()
            if stride > 1:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            out = torch.relu(self.norm1(self.conv1(x)))
            return torch.relu(self.norm2(self.conv2(out)) + self.shortcut(x))

    return Block


@workload("small ResNet, 16x3x32x32, SGD")
def resnet(torch):
    nn, block = torch.nn, _basic_block(torch)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        block(16, 16, 1), block(16, 32, 2), block(32, 64, 2),
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


@workload("ResNet-18, 4x3x64x64, SGD")
def resnet18(torch):
    nn, block = torch.nn, _basic_block(torch)
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [block(inputs, outputs, stride), block(outputs, outputs, 1)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    x, target = torch.randn(4, 3, 64, 64), torch.randint(0, 1000, (4,))
    return _step(torch, net, optimizer, nn.CrossEntropyLoss(), x, target)


def _attention(torch, width, heads):
    """Causal self-attention as scripts write it by hand: Vaswani et al., "Attention is all you need", 2017."""
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            batch, steps, _ = x.shape
            q, k, v = self.qkv(x).view(batch, steps, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-2, -1) / (width // heads) ** 0.5
            future = torch.ones(steps, steps, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(future, float("-inf")).softmax(-1)
            return self.out((weights @ v).transpose(1, 2).reshape(batch, steps, width))

    return Attention()


@workload("attention block, batch 4, 64 steps of width 256, with backward")
def attention(torch):
    torch.manual_seed(0)
    block = _attention(torch, 256, 8)
    x, grad = torch.randn(4, 64, 256, requires_grad=True), torch.randn(4, 64, 256)

    def run():
        x.grad = None
        block.zero_grad()
        block(x).backward(grad)

    return run


@workload("GPT of 2 layers of width 128, batch 8, 64 steps, AdamW")
def gpt(torch):
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(128), _attention(torch, 128, 4)
            self.norm2 = nn.LayerNorm(128)
            self.mlp = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.position = nn.Embedding(65, 128), nn.Embedding(64, 128)
            self.layers = nn.Sequential(Layer(), Layer(), nn.LayerNorm(128), nn.Linear(128, 65))

        def forward(self, text):
            return self.layers(self.token(text) + self.position(torch.arange(64))).view(-1, 65)

    torch.manual_seed(0)
    net = GPT()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    text, target = torch.randint(0, 65, (8, 64)), torch.randint(0, 65, (512,))

    def run():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(text), target)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    return run
