"""What every intrinsic of this folder begins with: the vector of an element type, and how it is read and written."""

from __future__ import annotations

from llvmlite import ir

from ..simd.emit import element_pointer, first_lanes, load_vector, masked_memory, store_vector
from .tile_sizes import lanes


class TileVectors:
    """Full registers of elements of the Numba type `scalar`, while the code of one intrinsic is made."""

    def __init__(self, context, builder, scalar):
        self._context, self._builder = context, builder
        element = context.get_data_type(scalar)
        self.itemsize = context.get_abi_sizeof(element)
        self.lanes = lanes(self.itemsize)
        self.type = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.type, None)
        self._align = ir.IntType(32)(self.itemsize)

    def address(self, array_type, array, start):
        """The address of array[start]."""
        return element_pointer(self._context, self._builder, array_type, array, start)

    def first(self, count):
        """The mask of the first `count` lanes."""
        return first_lanes(self._builder, count, self.lanes)

    def load(self, pointer):
        return load_vector(self._builder, pointer, self.type, self.itemsize)

    def store(self, value, pointer):
        store_vector(self._builder, value, pointer, self.itemsize)

    def load_where(self, mask, pointer):
        """The lanes of the mask, zero in the others, which are not read."""
        pointer = self._builder.bitcast(pointer, self.type.as_pointer())
        return masked_memory(self._builder, "load", self.type, [pointer, self._align, mask, self.zero])

    def store_where(self, mask, value, pointer):
        """Write the lanes of the mask."""
        pointer = self._builder.bitcast(pointer, self.type.as_pointer())
        masked_memory(self._builder, "store", self.type, [value, pointer, self._align, mask])

    def add_to(self, value, pointer):
        """Add a vector to the one at an address."""
        self.store(self._builder.fadd(self.load(pointer), value), pointer)

    def order(self, numbers):
        """Which lane goes to each, for shuffle_vector."""
        return ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), numbers)
