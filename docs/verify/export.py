"""Verifies an export, and that receipts and older checkpoints agree with it, without any code of Fieldgate:

    python3 export.py log.vkey evidence/ 1042.tlog-proof older-checkpoint ...

Every entry is hashed, every tile compared with what is below it, the root with the signed checkpoint.
"""
import pathlib, sys
from receipt import checkpoint, leaf_of, need, read_keys, receipt, sha256

def root(hashes):                                                  # section 4
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256()
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1", root(hashes[:half]), root(hashes[half:]))

def tile(folder, level, n, width):                                 # section 6: path and content
    digits = f"{n:0{(len(str(n)) + 2) // 3 * 3}d}"
    groups = [digits[i:i + 3] for i in range(0, len(digits), 3)]
    path = f"tile/{level}/" + "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    path += "" if width == 256 else f".p/{width}"
    need((folder / path).is_file(), f"{path} is missing")
    return path, (folder / path).read_bytes()

def read_leaves(folder, size):                                     # section 6: bundles of entries
    leaves = []
    while len(leaves) < size:
        width = min(256, size - len(leaves))
        path, data = tile(folder, "entries", len(leaves) // 256, width)
        for _ in range(width):
            entry = data[2:2 + int.from_bytes(data[:2], "big")]
            leaves.append(leaf_of(entry, len(leaves)))
            data = data[2 + len(entry):]
        need(not data, f"{path} is too long")
    return leaves

def check_tiles(folder, hashes, level=0):                          # section 6: each level from the one below
    runs = [hashes[start:start + 256] for start in range(0, len(hashes), 256)]
    for n, run in enumerate(runs):
        path, data = tile(folder, level, n, len(run))
        wrong = [i for i, one in enumerate(run) if data[32 * i:32 * i + 32] != one]
        need(len(data) == 32 * len(run) and not wrong, f"{path} is not what stands below it, at {wrong[:3]}")
    if runs:
        check_tiles(folder, [root(run) for run in runs if len(run) == 256], level + 1)

if __name__ == "__main__":
    keys, folder = read_keys(sys.argv[1]), pathlib.Path(sys.argv[2])
    origin, size, top = checkpoint((folder / "checkpoint").read_text("utf-8"), keys)
    leaves = read_leaves(folder, size)
    check_tiles(folder, leaves)
    need(root(leaves) == top, "the entries do not lead to the checkpoint")
    for file in sys.argv[3:]:
        text, index = pathlib.Path(file).read_text("utf-8"), None
        if text.startswith("c2sp.org/tlog-proof"):
            (log, then, seen), index, entry = receipt(text, keys)
        else:
            log, then, seen = checkpoint(text, keys)
        need(log == origin and then <= size and root(leaves[:then]) == seen, f"{file} tells another history")
        need(index is None or leaf_of(entry, index) == leaves[index], f"{file} holds another entry")
    print(f"VERIFIED: {size} entries of {origin}; {len(sys.argv) - 3} receipts and checkpoints agree")
