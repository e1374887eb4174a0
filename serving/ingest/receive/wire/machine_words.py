"""Single instructions that numba has no name for: bytes and words by address, doubles by their bits, a product of 128 bits.

Kernels read a body by addresses, two integers for each message (begin, end): arrays handed from function to function would cost
more in counted references than reading does. For kernels only: calling these from Python raises. Nothing here checks bounds.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic

_I64, _I128, _F64 = ir.IntType(64), ir.IntType(128), ir.DoubleType()


def _reader(bits: int) -> Callable[[Any, Any], Any]:
    """Return the typing of an intrinsic that reads so many bits at an address, little endian, unaligned, as a uint64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
        number = builder.load(pointer, align=1)
        return number if bits == 64 else builder.zext(number, _I64)

    def typed(_: Any, address: Any) -> Any:
        return types.uint64(types.int64), generate

    return typed


def _store(_: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], types.int64)
        builder.store(number, builder.inttoptr(arguments[0], _I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, value), generate


def _double_of(_: Any, bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _F64)

    return types.float64(types.int64), generate


def _bits_of(_: Any, number: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _I64)

    return types.int64(types.float64), generate


def _folded_product(_: Any, left: Any, right: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = builder.mul(builder.zext(arguments[0], _I128), builder.zext(arguments[1], _I128))
        high = builder.trunc(builder.lshr(wide, ir.Constant(_I128, 64)), _I64)
        return builder.xor(high, builder.trunc(wide, _I64))

    return types.uint64(types.uint64, types.uint64), generate


Reader = Callable[[int], np.uint64]

int64 = cast(Callable[[object], int], np.int64)
"""An int64 of another number, in kernels; a name of its own because type checkers know np.int64 as another type than int."""
byte_at = cast(Reader, intrinsic(_reader(8)))
half_word_at = cast(Reader, intrinsic(_reader(32)))
"""The four bytes from an address on."""
word_at = cast(Reader, intrinsic(_reader(64)))
"""The eight bytes from an address on."""
store = cast(Callable[[int, int], None], intrinsic(_store))
"""Write an int64 at an address, a multiple of eight."""
double_of = cast(Callable[[int], float], intrinsic(_double_of))
"""The double with these bits."""
bits_of = cast(Callable[[float], int], intrinsic(_bits_of))
"""The bits of a double; NaNs keep theirs."""
folded_product = cast(Callable[[np.uint64, np.uint64], np.uint64], intrinsic(_folded_product))
"""High and low half of the product of 128 bits, one over the other: every bit of the result hangs on all bits of both."""
