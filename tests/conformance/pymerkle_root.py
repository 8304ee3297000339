"""Builds the tree again with pymerkle: the same root at every checkpoint, old and new."""
import base64, pathlib, sys
from pymerkle import InmemoryTree
from entries import entries

folder = pathlib.Path(sys.argv[1])
tree = InmemoryTree("sha256")
found, _ = entries(folder)
for entry in found:
    tree.append_entry(entry)
notes = [folder / "log/checkpoint", *(folder / "older").glob("*")]
for note in notes:
    _, size, root = note.read_text("utf-8").split("\n")[:3]
    if tree.get_root(int(size)) != base64.b64decode(root):
        sys.exit(f"another root at {size} than in {note}")
print(f"{len(found)} entries, the root of {len(notes)} checkpoints")
