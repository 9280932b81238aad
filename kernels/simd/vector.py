"""The Numba type of a vector register: `count` elements of one number type, or a mask of booleans."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import models, register_model

_IR = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: ir.IntType(1),
}


def element_ir(element) -> ir.Type:
    """LLVM's type of one element."""
    return _IR.get(element) or ir.IntType(element.bitwidth)


def is_float(element) -> bool:
    return isinstance(element, types.Float)


class Vector(types.Type):
    """`count` elements of the Numba type `element`."""

    def __init__(self, element, count: int):
        self.element = element
        self.count = count
        super().__init__(name=f"vector({element}, {count})")

    @property
    def ir(self) -> ir.VectorType:
        return ir.VectorType(element_ir(self.element), self.count)

    @property
    def mask(self) -> Vector:
        """The type of a comparison of two such vectors."""
        return Vector(types.boolean, self.count)

    @property
    def suffix(self) -> str:
        """How LLVM's intrinsics name the type: v16f32."""
        letter = "f" if is_float(self.element) else "i"
        return f"v{self.count}{letter}{1 if self.element == types.boolean else self.element.bitwidth}"


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.ir)


def declare(module: ir.Module, name: str, result, arguments) -> ir.Function:
    """The LLVM function `name`, declared once a module."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


def splat(builder, scalar, count: int):
    """A vector of `count` times the same value."""
    vector = ir.VectorType(scalar.type, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), lanes)
