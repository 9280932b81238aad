"""The command line: `numtorch demo | run | gradcheck | warmup | info`."""

from __future__ import annotations

import argparse
import importlib
import sys

import numtorch

_DESCRIPTION = """\
PyTorch's API over kernels that are ordinary Python, compiled by Numba.

The first use of a kernel compiles it, which takes a moment; it is kept on disk,
so the next run starts at full speed."""

_EPILOG = """\
examples:
  numtorch demo                       train a small network on handwritten digits
  numtorch run train.py --epochs 3    run a PyTorch script, unmodified
  numtorch gradcheck                  check the derivatives of all operators
  numtorch gradcheck mymodule:f --input 3,4 --input 4
                                      check those of a function of yours
  numtorch warmup                     compile the usual kernels now
  numtorch info                       versions, processor, threads, cache, GPU

`numtorch COMMAND --help` tells the options of a command."""

# Each is a module numtorch.cli.<name> with HELP, add_arguments(parser) and main(options) -> exit code.
COMMANDS = ("demo", "run", "gradcheck", "warmup", "info")


def make_parser() -> argparse.ArgumentParser:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="numtorch", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=style)
    parser.add_argument("-V", "--version", action="version", version=f"numtorch {numtorch.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"numtorch.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__, formatter_class=style)
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = make_parser().parse_args(argv)
    try:
        return options.main(options)
    except BrokenPipeError:  # the reader of our output has gone, as in `numtorch info | head -1`
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
