"""File systems of our own, mounted under a temporary directory and gone afterwards. For root, on Linux."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.outcome import Impossible


def expect_root(what: str) -> None:
    """Raises `Impossible` for anybody else."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise Impossible(f"root, for {what}")


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system in memory with so much room."""
    with _mounted("a tmpfs", ["-t", "tmpfs", "-o", f"size={megabytes}m", "barkeep-fault"]) as folder:
        yield folder


class FailingDisk:
    """An ext4 file system in a file, which the kernel makes read-only when it finds an error."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.folder = folder
        self._image = image

    def fail(self) -> None:
        """Have the kernel find an error: from now on nothing can be written, by open files neither.

        Raises:
            Impossible: this kernel cannot be asked for one.
        """
        device = _run("findmnt", "-no", "SOURCE", str(self.folder)).strip().removeprefix("/dev/")
        try:
            Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a fault that was asked for")
        except OSError as error:
            raise Impossible(f"ext4's trigger_fs_error ({error.strerror})") from None

    def repair(self) -> None:
        """Unmount, check, mount again. Nobody may have a file open there."""
        _run("umount", str(self.folder))
        done = subprocess.run(["fsck.ext4", "-fy", str(self._image)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: errors were corrected
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))


@contextmanager
def failing_disk(megabytes: int) -> Iterator[FailingDisk]:
    """A disk that can be told to fail."""
    expect_root("an ext4 file system in a file")
    with TemporaryDirectory(prefix="barkeep-image-") as images:
        image = Path(images, "disk.img")
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", str(image))
        with _mounted("an ext4 image", ["-o", "loop,errors=remount-ro", str(image)]) as folder:
            yield FailingDisk(image, folder)


@contextmanager
def _mounted(what: str, arguments: list[str]) -> Iterator[Path]:
    expect_root(what)
    with TemporaryDirectory(prefix="barkeep-mount-") as name, ExitStack() as stack:
        try:
            _run("mount", *arguments, name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Impossible(f"to mount {what} ({error})") from None
        stack.callback(_unmount, name)
        yield Path(name)


def _unmount(name: str) -> None:
    with suppress(subprocess.CalledProcessError):
        _run("umount", name)
        return
    _run("umount", "--lazy", name)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
