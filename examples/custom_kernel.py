"""A differentiable kernel of your own in five lines: define, use, check.

Run with `python examples/custom_kernel.py`.
"""

import numtorch as torch
from numtorch.extend import unary
from numtorch.kernels.math import exp, sigmoid

# Swish with a slope, y = x sigmoid(beta x), and its derivative.
swish = unary(
    "example_swish",
    lambda x, beta: x / (1 + exp(-beta * x)),
    lambda g, x, beta: g * (sigmoid(beta * x) + beta * x * sigmoid(beta * x) * (1 - sigmoid(beta * x))),
)

x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
y = swish(x, 1.5)
y.sum().backward()
print(y)
print(x.grad)

check = torch.autograd.gradcheck(lambda x: swish(x, 1.5), (x,))
again = torch.autograd.gradgradcheck(lambda x: swish(x, 1.5), (x,))
print("gradcheck:", check, " gradgradcheck:", again)
