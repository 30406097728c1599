"""From a loop to object code, by numba and LLVM.

numba compiles a function to a module in LLVM's language; added to it is an *entry point*, which
unpacks the arguments from words of 64 bits. numba's documentation describes what is used of its
inside: ``overloads[types].library`` and ``fndesc.llvm_func_name`` of a dispatcher, the calling
convention (``int32 f(result *, exception **, arguments…)``), and the layout of arrays and tuples.
"""

from __future__ import annotations

import importlib
import os
import re
import zlib
from typing import Any, NamedTuple

from counterbias.loops.building.errors import BuildingError

#: The processor of each level, as LLVM calls it.
PROCESSORS = {"v2": "x86-64-v2", "v3": "x86-64-v3", "v4": "x86-64-v4", "generic": "generic"}
#: What caller.c has of numba's run time, and the names by which the rest of it, and Python, begin.
_RUN_TIME = (
    "NRT_MemInfo_alloc_aligned",
    "NRT_MemInfo_call_dtor",
    "NRT_MemInfo_new_varsize_dtor",
)
_ABSENT = re.compile("NRT_|numba_|_?Py")


class Entry(NamedTuple):
    """One loop compiled for one set of types.

    Args:
        arguments, result: their types as the table has them.
        code: an object file, with the entry point ``symbol``.
    """

    arguments: str
    result: str
    symbol: str
    code: bytes


def prepare(level: str) -> None:
    """Have numba compile for a level in this process, which must not have imported it before."""
    os.environ["NUMBA_CPU_NAME"] = PROCESSORS[level]
    os.environ["NUMBA_CPU_FEATURES"] = ""
    os.environ["NUMBA_DISABLE_INTEL_SVML"] = "1"
    os.environ["COUNTERBIAS_LOOPS"] = "jit"


def compile_loop(module: str, name: str, level: str) -> list[Entry]:
    """Compile a loop for all of its sets of types.

    Raises:
        BuildingError: numba cannot compile it, or the caller in C cannot call it.
    """
    from numba import njit

    from counterbias.loops.building.types import read_signature

    loop = getattr(importlib.import_module(module), name)
    if not loop.signatures:
        raise BuildingError(f"{loop.key}: it declares no types")
    made = []
    for number, signature in enumerate(loop.signatures):
        try:
            arguments = read_signature(signature, loop.py_func)
            dispatcher = njit(no_cpython_wrapper=True, **loop.targetoptions)(loop.py_func)
            dispatcher.compile(arguments)
            compiled = dispatcher.overloads[arguments]
            made.append(_entry(compiled, arguments, _symbol(loop.key, number, level), level))
        except Exception as problem:
            raise BuildingError(f'{loop.key}, "{signature}": {problem}') from None
    return made


def _symbol(key: str, number: int, level: str) -> str:
    """Return a name for the linker; the checksum keeps ``a.b_c`` and ``a_b.c`` apart."""
    return re.sub(r"\W", "_", f"{key}_{zlib.crc32(key.encode()):08x}_{number}_{level}")


def _entry(compiled: Any, arguments: tuple[Any, ...], symbol: str, level: str) -> Entry:
    from llvmlite import binding

    from counterbias.loops.building.types import text_of

    text = compiled.library.get_llvm_str()
    name = compiled.fndesc.llvm_func_name
    parameters = [
        str(one.type) for one in binding.parse_assembly(text).get_function(name).arguments
    ]
    module = binding.parse_assembly(text + _entry_point(symbol, name, parameters[2:]))
    for one in (*module.functions, *module.global_variables):
        if not one.is_declaration and one.name != symbol:
            one.linkage = "internal"
    machine = binding.Target.from_triple(module.triple).create_target_machine(
        cpu=PROCESSORS[level], features="", opt=3, reloc="pic", codemodel="default"
    )
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, binding.create_pass_builder(machine, binding.PipelineTuningOptions()))
    needed = {one.name for one in module.functions if one.is_declaration} - {*_RUN_TIME}
    absent = sorted(filter(_ABSENT.match, needed))
    if absent:
        raise TypeError(
            f"it needs {', '.join(absent)} of numba or Python, which are not there when it is "
            "called: use arrays instead of lists, sets, texts and other objects"
        )
    return Entry(
        "".join(map(text_of, arguments)),
        text_of(compiled.signature.return_type),
        symbol,
        machine.emit_object(module),
    )


def _entry_point(symbol: str, function: str, parameters: list[str]) -> str:
    """Write the function that unpacks words into arguments of these LLVM types."""
    lines = [f"\ndefine i32 @{symbol}(ptr %words, ptr %result) {{", "%exception = alloca ptr"]
    values = []
    for i, kind in enumerate(parameters):
        lines.append(f"%p{i} = getelementptr i64, ptr %words, i64 {i}")
        lines += _load(i, kind)
        values.append(f"{kind} %a{i}")
    passed = ", ".join(["ptr %result", "ptr %exception", *values])
    lines += [f'%status = call i32 @"{function}"({passed})', "ret i32 %status", "}"]
    return "\n".join(lines)


def _load(i: int, kind: str) -> list[str]:
    """Write how a word becomes an argument: an integer is the lowest bits of one."""
    if kind in ("i1", "i8", "i16", "i32"):
        return [f"%w{i} = load i64, ptr %p{i}", f"%a{i} = trunc i64 %w{i} to {kind}"]
    return [f"%a{i} = load {kind}, ptr %p{i}"]
