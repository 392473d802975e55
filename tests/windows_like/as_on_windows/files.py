"""Text in the code page of Western Europe; what is open cannot be removed."""

from __future__ import annotations

import builtins
import errno
import io
import locale
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

ENCODING = "cp1252"
RESERVED = set('<>:"|?*')
ours = io.open


def change() -> None:
    builtins.open = io.open = open_file
    import _io

    _io.open = open_file
    if not utf8():
        locale.getpreferredencoding = lambda do_setlocale=True: ENCODING
        locale.getencoding = lambda: ENCODING
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is not None and not stream.isatty():
            _change_stream(stream)
    os.remove = _unless_open(os.remove)
    os.unlink = _unless_open(os.unlink)
    os.replace = _unless_open(os.replace)
    os.rename = _unless_open(_unless_there(os.rename))
    os.rmdir = _unless_inside(os.rmdir)


def utf8() -> bool:
    """Whether UTF-8 has been asked for.

    https://docs.python.org/3/using/windows.html#utf-8-mode
    """
    asked = os.environ.get("PYTHONUTF8") == "1" or "utf8" in sys._xoptions
    return asked and not sys.flags.ignore_environment


def open_file(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    r"""``open``, with the encoding of the locale and ends of lines \r\n.

    https://docs.python.org/3/using/windows.html#utf-8-mode: "legacy
    encodings for the system encoding (the ANSI Code Page). Python uses it
    for the default encoding of text files".
    https://docs.python.org/3/library/functions.html#open: "If newline is
    None, any '\n' characters written are translated to the system default
    line separator, os.linesep."
    """
    if "b" not in mode:
        if encoding in (None, "locale") and not utf8():
            encoding = ENCODING
        if newline is None and not {*"wax"}.isdisjoint(mode):
            newline = "\r\n"
    if isinstance(file, str | os.PathLike) and "r" not in mode:
        _refuse_name(os.fspath(file))
    return ours(
        file, mode, buffering, encoding, errors, newline, closefd, opener
    )


def _refuse_name(path: Any) -> None:
    """Some signs are in no file's name.

    https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
    """
    if isinstance(path, str) and RESERVED & set(os.path.basename(path)):
        raise OSError(errno.EINVAL, "Invalid argument", path)


def _change_stream(stream: Any) -> None:
    r"""What is printed to a pipe: the code page, and \r\n.

    "Non-character devices such as disk files and pipes use the system locale
    encoding": https://docs.python.org/3/library/sys.html#sys.stdout
    """
    asked = "PYTHONIOENCODING" in os.environ
    encoding = stream.encoding if asked or utf8() else ENCODING
    errors = stream.errors if stream is sys.stderr else "strict"
    newline = None if stream is sys.stdin else "\r\n"
    with suppress(AttributeError):
        stream.reconfigure(encoding=encoding, errors=errors, newline=newline)


def _unless_open(function: Callable[..., None]) -> Callable[..., None]:
    """What is open is neither removed nor renamed, nor replaced.

    "On Windows, attempting to remove a file that is in use causes an
    exception to be raised":
    https://docs.python.org/3/library/os.html#os.remove
    https://learn.microsoft.com/en-us/windows/win32/fileio/creating-and-opening-files
    (FILE_SHARE_DELETE, for which ``open`` does not ask)
    """

    def act(*paths: Any, **options: Any) -> None:
        for path in paths:
            _refuse(path, "fd/*", options)
        function(*paths, **options)

    return act


def _unless_inside(function: Callable[..., None]) -> Callable[..., None]:
    """A folder in which a process runs is not removed.

    https://learn.microsoft.com/en-us/windows/win32/api/fileapi/nf-fileapi-removedirectorya
    (a handle to it is open; known: a process has one to its folder)
    """

    def act(path: Any, **options: Any) -> None:
        _refuse(path, "cwd", options)
        function(path, **options)

    return act


def _unless_there(function: Callable[..., None]) -> Callable[..., None]:
    """Nothing is renamed over what is there.

    "On Windows, if dst exists a FileExistsError is always raised":
    https://docs.python.org/3/library/os.html#os.rename
    """

    def act(source: Any, target: Any, **options: Any) -> None:
        if not options and os.path.lexists(target):
            text = "Cannot create a file when that file already exists"
            raise FileExistsError(errno.EEXIST, text, source, None, target)
        function(source, target, **options)

    return act


def _refuse(path: Any, where: str, options: dict[str, Any]) -> None:
    path = os.fspath(path)
    folder = options.get("dir_fd")
    if folder is not None:
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    try:
        wanted = os.stat(path, follow_symlinks=False)
    except OSError:
        return
    if any(_leads_to(wanted, handle) for handle in _handles(where)):
        text = (
            "The process cannot access the file because it is being used by "
            "another process"
        )
        raise PermissionError(errno.EACCES, text, path)


def _leads_to(wanted: os.stat_result, handle: str) -> bool:
    try:
        return os.path.samestat(os.stat(handle), wanted)
    except OSError:
        return False


def _handles(where: str) -> Iterator[str]:
    """What this process and those that it has started have open."""
    from as_on_windows.processes import running

    for process in ("self", *running()):
        folder = f"/proc/{process}/{where}".removesuffix("*")
        if folder.endswith("cwd"):
            yield folder
            continue
        with suppress(OSError):
            yield from (folder + number for number in os.listdir(folder))
