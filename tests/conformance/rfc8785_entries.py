"""Reads every entry as JSON and writes it again with rfc8785: the same bytes."""
import json, sys
import rfc8785
from entries import entries

found, size = entries(sys.argv[1])
for index, entry in enumerate(found):
    if rfc8785.dumps(json.loads(entry)) != entry:
        sys.exit(f"entry {index} is not canonical")
if len(found) != size:
    sys.exit(f"{len(found)} entries of {size}")
print(f"{len(found)} canonical entries")
