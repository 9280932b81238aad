"""A two-layer network fitted to random data: the same text runs on torch (change the import).

Run with `python examples/two_layer_net.py`.
"""

import numtorch as torch
from numtorch import nn, optim

torch.manual_seed(0)
x, y = torch.randn(64, 1000), torch.randn(64, 10)
model = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
optimizer = optim.Adam(model.parameters(), lr=1e-3)

for step in range(101):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:3d}  loss {loss.item():.4f}")
