"""A process that has imported what commands need, and runs each of them in a copy of itself.

Pages call the program some ninety times, and more than half of the time of each went into imports.
A program ``counterbias`` hands its words, folder, environment and open files to that process.
Only what the environment says to modules as they are imported is that of the tests.
"""

from __future__ import annotations

import json
import os
import pkgutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from tests import ROOT

#: Modules of others that commands import only when they need them.
OTHERS = ("anndata", "pandas", "pysam", "scipy.optimize", "scipy.special", "torch")
#: Most bytes of a command and its environment.
_MOST = 1 << 18

_PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
    link.connect({address!r})
    asked = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(link, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(int(link.recv(16)))
"""


@contextmanager
def warm_program(folder: Path) -> Iterator[Path]:
    """Start the process; lend the folder, in which there is a program ``counterbias`` now."""
    address = str(folder / "socket")
    program = folder / "counterbias"
    program.write_text(_PROGRAM.format(python=sys.executable, address=address))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.warm", str(listener.fileno())],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
        )
    try:
        yield folder
    finally:
        server.kill()
        server.wait()


def serve(listener: socket.socket) -> None:
    """Answer until the process is killed."""
    from counterbias.cli.process import prepare

    prepare()
    import counterbias

    own = [module.name for module in pkgutil.walk_packages(counterbias.__path__, "counterbias.")]
    for name in (*OTHERS, *(name for name in own if not name.endswith("__main__"))):
        with suppress(ModuleNotFoundError):
            import_module(name)
    while True:
        link, _ = listener.accept()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # a copy that has ended
        if not os.fork():
            listener.close()
            return _answer(link)
        link.close()


def _answer(link: socket.socket) -> None:
    """Run the command in another copy; tell its exit status as a shell has it."""
    content, files, _, _ = socket.recv_fds(link, _MOST, 3)
    if not (worker := os.fork()):
        link.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        words, folder, environment = json.loads(content)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        from counterbias.cli import main

        sys.argv = ["counterbias", *words]
        sys.exit(main())
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    link.send(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
