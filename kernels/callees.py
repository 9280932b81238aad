"""How one kernel calls another: as a copy of its code, or through its address.

Numba links the code of a callee into every caller and optimises it again there. For a few lines that is what makes
them fast. For the body of a parallel loop, or a tile of a thousand instructions, it was the largest part of a cold
start: LLVM went over the same code two to four times. So there are two kinds of callees:

    copied        kept as bitcode only. It gets no machine code and no wrapper for Python, which cost as much as the
                  rest of a short function; if Python calls it later, it is compiled in full then.
    apart         (of kernels with `nogil` or `apart`) compiled once, in full, under a symbol that is the name of its
                  file in the cache. So what the machine code of a caller needs can be read off its symbols.
"""

from __future__ import annotations

import copy
import threading

import llvmlite.binding as llvm
from numba.core import compiler
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.dispatcher import _FunctionCompiler
from numba.core.environment import lookup_environment

_PREFIX = "numtorch."
_ENVIRONMENT = "_ZN08NumbaEnv"  # how Numba names the variable that holds a function's environment

#: `.copied`: what this thread compiles next is for a caller to copy.
request = threading.local()


class CopiedCode(JITCodeLibrary):
    """The optimised code of a function that its callers copy."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def serialize_using_object_code(self) -> tuple:
        return (self.name, "copied", self._get_module_for_linking().as_bitcode())


class KernelCompiler(_FunctionCompiler):
    """Numba's compiler of one function: in full, or for callers to copy."""

    copied = False

    def _compile_core(self, args, return_type):
        if not self.copied:
            return super()._compile_core(args, return_type)
        flags = compiler.Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        context = self.targetdescr.target_context
        result = compiler.compile_extra(
            self.targetdescr.typing_context,
            context,
            self.py_func,
            args=args,
            return_type=return_type,
            flags=flags,
            locals=self.locals,
            library=CopiedCode(context.codegen(), self.py_func.__qualname__),
            pipeline_class=self.pipeline_class,
        )
        return as_copied(result, context)


def is_copied(result: CompileResult) -> bool:
    return isinstance(result._asdict()["library"], CopiedCode)


def as_copied(result: CompileResult, context) -> CompileResult:
    """`result` with what Numba knows it by, and known to Numba as something to copy."""
    parts = result._asdict()
    key = (_PREFIX, parts["fndesc"].mangled_name)
    context.insert_user_function(key, parts["fndesc"], [parts["library"]])
    return result._replace(entry_point=key)


def rebuild_copied(context, state: tuple) -> CompileResult:
    """What KernelCache has kept of a copied function."""
    (name, _, bitcode), fndesc, environment, signature, objectmode, lifted, annotation, reload_init, others = state
    library = CopiedCode(context.codegen(), name)
    library._shared_module = llvm.parse_bitcode(bitcode)
    library._finalized = True
    result = CompileResult(
        typing_context=context.typing_context,
        target_context=context,
        library=library,
        environment=environment,
        entry_point=None,
        fndesc=fndesc,
        type_annotation=annotation,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        typing_error=None,
        call_helper=None,
        metadata=None,
        reload_init=reload_init,
        referenced_envs=others,
    )
    return as_copied(result, context)


def connect(result: CompileResult) -> list:
    """Give the code in `result` the environments of the functions copied into it. Returns those, to be kept alive."""
    library = result._asdict()["library"]
    known = library.codegen._engine.is_symbol_defined
    environments = []
    for variable in library._final_module.global_variables:
        if variable.name.startswith(_ENVIRONMENT) and known(variable.name):
            environment = lookup_environment(variable.name)
            if environment is not None:
                library.codegen.set_env(variable.name, environment)
                environments.append(environment)
    return environments


# -- Callees that stay apart ---------------------------------------------------------------------------------------------

#: What there is a symbol for. Never given back: machine code may have its address.
_published: dict[str, CompileResult] = {}


def publish(result: CompileResult, name: str, context) -> tuple:
    """Let code call `result` by the symbol for `name`. Returns what Numba is to know it by."""
    symbol = _PREFIX + name
    key = (_PREFIX, symbol)
    if symbol not in _published:
        parts = result._asdict()
        llvm.add_symbol(symbol, parts["library"].get_pointer_to_function(parts["fndesc"].mangled_name))
        by_symbol = copy.copy(parts["fndesc"])
        by_symbol.mangled_name = symbol
        context.insert_user_function(key, by_symbol, ())
        _published[symbol] = result
    return key


def published(name: str) -> CompileResult | None:
    """What the symbol for `name` stands for."""
    return _published.get(_PREFIX + name)


def names_needed(result: CompileResult) -> list[str]:
    """The names under which what the code in `result` calls has been published."""
    functions = result._asdict()["library"]._final_module.functions
    return [f.name.removeprefix(_PREFIX) for f in functions if f.is_declaration and f.name.startswith(_PREFIX)]
