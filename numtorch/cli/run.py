"""Run a Python script in which `import torch` means numtorch.

The script needs no change: `import torch`, `import torch.nn.functional as F`,
`from torch.utils.data import DataLoader` and the like give numtorch's modules.
It runs as `__main__` with its own arguments, and its exit code is ours.
"""

from __future__ import annotations

import argparse
import builtins
import os
import sys
import types

HELP = "run a PyTorch script, unmodified, on numtorch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="the Python file to run")
    parser.add_argument(
        "arguments", metavar="...", nargs=argparse.REMAINDER, help="what the script finds in sys.argv[1:]"
    )


def main(options: argparse.Namespace) -> int:
    from numtorch import _alias

    path = options.script
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"numtorch run: cannot read {path}: {error.strerror}", file=sys.stderr)
        return 2
    _alias.install()
    sys.argv = [path, *options.arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None, __spec__=None)
    sys.modules["__main__"] = module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, KeyboardInterrupt) as error:
        # The traceback that the script has when it is run by itself: without our frame, which is the first.
        error = error.with_traceback(error.__traceback__.tb_next)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0
