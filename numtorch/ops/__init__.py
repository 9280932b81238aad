"""Operators by family: every module of this folder registers what it defines (see numtorch/_registry.py).

Adding an operator is adding its definition to the module of its family; adding a family is adding a file.
"""

import importlib
import pkgutil

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module("." + _module, __name__)
