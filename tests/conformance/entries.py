"""Reads the entries of an export, so that other people's code can judge them."""
import pathlib


def entries(folder):
    """Every entry in order, and the size that the checkpoint claims."""
    log = pathlib.Path(folder) / "log"
    size = int((log / "checkpoint").read_text("utf-8").split("\n")[1])
    found = []
    for n in range(0, (size + 255) // 256):
        width = min(256, size - 256 * n)
        path = f"tile/entries/{n:03d}" + ("" if width == 256 else f".p/{width}")
        data = (log / path).read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            found.append(data[2:2 + length])
            data = data[2 + length:]
    return found, size
