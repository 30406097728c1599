"""From a loop to object code, by numba and LLVM.

numba compiles a function to a module in LLVM's language; added to it is an *entry point*, which
unpacks the arguments from words of 64 bits. numba's documentation describes what is used of its
inside: ``overloads[types].library`` and ``fndesc.llvm_func_name`` of a dispatcher, the calling
convention (``int32 f(result *, exception **, arguments…)``), and the layout of arrays and tuples.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple

#: The processor of each level, as LLVM calls it.
PROCESSORS = {"v2": "x86-64-v2", "v3": "x86-64-v3", "v4": "x86-64-v4", "generic": "generic"}


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
        TypeError: it takes or returns what the caller in C cannot pass.
    """
    from numba import njit

    from counterbias.loops.building.types import read_signature

    loop = getattr(importlib.import_module(module), name)
    function = loop.py_func
    made = []
    for number, signature in enumerate(loop.signatures):
        arguments = read_signature(signature, function)
        dispatcher = njit(no_cpython_wrapper=True, **loop.targetoptions)(function)
        dispatcher.compile(arguments)
        symbol = f"{module}.{name}.{number}.{level}".replace(".", "_")
        made.append(_entry(dispatcher.overloads[arguments], arguments, symbol, level))
    return made


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
        lines.append(f"%a{i} = load {kind}, ptr %p{i}" if kind != "i1" else _load_bit(i))
        values.append(f"{kind} %a{i}")
    passed = ", ".join(["ptr %result", "ptr %exception", *values])
    lines += [f'%status = call i32 @"{function}"({passed})', "ret i32 %status", "}"]
    return "\n".join(lines)


def _load_bit(i: int) -> str:
    return f"%w{i} = load i64, ptr %p{i}\n%a{i} = trunc i64 %w{i} to i1"
