# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Builds libraries that stand in for CANN, as far as MindSpore's Ascend back end needs them.

Which of CANN's libraries and symbols it wants is read from MindSpore's own libraries; a stub is
generated for each symbol and compiled together with stub.cc. The result is laid out like an
installation of CANN, in a folder that only `dry_run` names to MindSpore.
"""

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from pathlib import Path

from src.model_utils.errors import UserError

BUILT = Path(__file__).with_name("build")  # not in git
STUB = Path(__file__).with_name("stub.cc")
VERSION = "2.10"  # of MindSpore: private symbols of it are used
CANN_VERSION = "9.1.0"  # what this MindSpore was compiled for
HOME = "latest"  # MindSpore looks for this in the path of the library that has aclrtMalloc
TOOLS = ("gcc", "g++", "nm", "readelf")

_ROOTS = (
    "lib/plugin/libmindspore_ascend.so.2",
    "lib/plugin/libmindspore_ops_ascend.so",
    "lib/libmindspore_ge_backend.so",
)
# Libraries that MindSpore opens by name; those that it is linked to are read from it.
_OPENED = (
    "libacl_cblas.so", "libacl_op_compiler.so", "libacl_tdt_channel.so", "libnnopbase.so",
    "libopapi.so", "libplatform.so", "libruntime.so",
)  # fmt: skip
_SYSTEM = (
    "libc.so.6", "libm.so.6", "libdl.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libgomp.so.1",
)  # fmt: skip
# Functions that MindSpore looks up by name stand as texts in its libraries.
_LOOKED_UP = re.compile(rb"(?<=\0)acl(?:nn|rt|op|mdl|tdt|prof)?[A-Z]\w+(?=\0)")
_OPERATOR = re.compile(r"aclnn\w+")
# A stub returns 0, which is success, but for those that make an object or return theirs.
_MAKES_OBJECT = re.compile(r"acl(?:op|mdl|tdt|prof)?Create\w+")
_RETURNS_SELF = re.compile(
    r"_ZN2ge(?:8Operator(?:8SetInput|7SetAttr|15AddControlInput)|5Graph(?:9SetInputs|10Set\w+))"
)
_FLAGS = ("-O1", "-fPIC", "-fno-builtin", "-w")


def hindrance() -> str:
    """Why the stand-in cannot be built here; "" if it can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"it needs x86-64 Linux, this is {platform.machine()} {platform.system()}"
    try:
        version = importlib.metadata.version("mindspore")
    except importlib.metadata.PackageNotFoundError:
        return "MindSpore is not installed"
    if not version.startswith(f"{VERSION}."):
        return f"it is made for MindSpore {VERSION}, this is {version}"
    if not (_package() / _ROOTS[0]).exists():
        return f"this MindSpore has no Ascend back end ({_ROOTS[0]})"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} is missing; install g++ and binutils" if missing else ""


def built(folder: Path = BUILT) -> Path:
    """The stand-in's folder, built there if it is not, or is of another MindSpore or source.

    Raises:
        UserError: it cannot be built here, see `hindrance`.
    """
    if reason := hindrance():
        raise UserError(f"the Ascend dry run does not work here: {reason}.")
    digest = hashlib.sha256(importlib.metadata.version("mindspore").encode())
    for source in (Path(__file__), STUB):
        digest.update(source.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    home, stamp = folder / HOME, folder / "stamp"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be building
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            stamp.unlink(missing_ok=True)
            shutil.rmtree(home, ignore_errors=True)
            _build(home)
            stamp.write_text(digest.hexdigest())
    return home


def _build(home: Path) -> None:
    package = _package()
    libraries, missing = _closure(package)
    texts = [
        path.read_bytes()
        for path in libraries.values()
        if "ascend" in str(path.relative_to(package))
    ]
    looked_up = {name.decode() for text in texts for name in _LOOKED_UP.findall(text)}
    operators = {name for name in looked_up if _OPERATOR.fullmatch(name)}
    wanted = _undefined_symbols(libraries) | (looked_up - operators)
    operators |= {f"{name}GetWorkspaceSize" for name in operators}

    folder = home / "lib64"
    folder.mkdir(parents=True)
    ours = home / "stub.o"
    cxx = ("g++", *_FLAGS, "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=0")
    _run(*cxx, "-c", str(STUB), "-o", str(ours))
    defined = {line.split()[-1] for line in _run("nm", "--defined-only", str(ours)).splitlines()}
    main = folder / "libascendcl.so"
    _link(main, _stubs(wanted - defined), ours)
    _link(folder / "libopapi.so", _stubs(operators))
    for name in (missing | set(_OPENED)) - {main.name, "libopapi.so"}:
        _link(folder / name, "int stand_in;\n", main)  # depends on it: dlsym finds its symbols here
    ours.unlink()

    # MindSpore asks these for CANN's version. It misses the package te and says so: no operator is
    # compiled without it.
    python = python_folder(home) / "hccl"
    python.mkdir(parents=True)
    (python / "__init__.py").write_text("")
    (python / "sys_version.py").write_text(f'__sys_version__ = "{CANN_VERSION}"\n')
    (home / "compiler").mkdir()
    (home / "compiler" / "version.info").write_text(f"Version={CANN_VERSION}\n")


def python_folder(home: Path) -> Path:
    """Where CANN has its Python packages."""
    return home / "opp" / "built-in" / "op_impl" / "ai_core" / "tbe"


def _package() -> Path:
    """The folder of the installed MindSpore, without importing it: that takes seconds."""
    return Path(importlib.util.find_spec("mindspore").origin).parent


def _closure(package: Path) -> tuple[dict[str, Path], set[str]]:
    """The libraries that the back end loads from the package, by name, and CANN's that it lacks."""
    available = {path.name: path for path in package.glob("lib/**/*.so*")}
    waiting, found, missing = [Path(name).name for name in _ROOTS], {}, set()
    while waiting:
        name = waiting.pop()
        if name in available and name not in found:
            found[name] = available[name]
            waiting += re.findall(r"\(NEEDED\).*\[(.+)\]", _run("readelf", "-d", str(found[name])))
        elif name.endswith(".so"):  # the system's carry a version
            missing.add(name)
    return found, missing - set(found)


def _undefined_symbols(libraries: dict[str, Path]) -> set[str]:
    """Symbols that some library wants and neither another one nor the system defines."""
    wanted, defined = set(), set()
    for path in libraries.values():
        for line in _run("nm", "-D", str(path)).splitlines():
            kind, name = line.split()[-2:]
            (wanted if kind == "U" else defined).add(name)
    # The system's carry a version (name@...), but for a few that a library was linked to without.
    wanted = {name for name in wanted if "@" not in name and not name.startswith(("Py", "_Py"))}
    wanted -= {name.split("@")[0] for name in defined}
    system = [ctypes.CDLL(name) for name in _SYSTEM]
    return {name for name in wanted if not any(hasattr(library, name) for library in system)}


def _stubs(names: set[str]) -> str:
    """C source with a function for each name; mangled names of C++ are names of C as well."""
    lines = ["static char object[4096];"]
    for name in sorted(names):
        if _MAKES_OBJECT.match(name):
            lines.append(f"void *{name}(void) {{ return object; }}")
        elif _RETURNS_SELF.match(name):
            lines.append(f"void *{name}(void *self) {{ return self; }}")
        else:
            lines.append(f"long {name}(void) {{ return 0; }}")
    return "\n".join(lines) + "\n"


def _link(library: Path, source: str, *others: Path) -> None:
    """Makes a library of C source and other objects and libraries."""
    path = library.with_suffix(".c")
    path.write_text(source)
    compiled = library.with_suffix(".o")
    _run("gcc", *_FLAGS, "-c", str(path), "-o", str(compiled))
    options = ("-shared", "-Wl,--no-as-needed", f"-Wl,-soname,{library.name}", "-o", str(library))
    _run("g++", *options, str(compiled), *map(str, others), "-ldl")
    path.unlink()
    compiled.unlink()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
