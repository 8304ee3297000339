"""Verifies receipts of a ledger, as ledger-format.md defines them, without any code of Fieldgate:

    python3 receipt.py log.vkey 1042.tlog-proof ...

log.vkey holds the log's keys, one a line; keys of witnesses may follow, and then each must have cosigned.
"""
import base64, hashlib, json, pathlib, sys
import ed25519

def need(truth, complaint):
    if not truth:
        sys.exit(f"NOT VERIFIED: {complaint}")

def b64(text):                                                     # one spelling, and no other
    data = base64.b64decode(text)
    need(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def read_keys(path):                                               # section 7
    keys = {}
    for line in pathlib.Path(path).read_text("utf-8").split():
        name, key_id, key = line.split("+", 2)
        need(sha256(name.encode(), b"\n", b64(key))[:4].hex() == key_id, f"no key: {line}")
        keys[name, bytes.fromhex(key_id)] = b64(key)
    return keys

def checkpoint(note, keys):                                        # section 7: origin, size, root
    text, _, lines = note.rpartition("\n\n")
    text, signed = text + "\n", set()
    need(lines.endswith("\n"), "the note is cut off")
    for line in lines[:-1].split("\n"):
        dash, name, blob = line.split(" ")
        key_id, blob = (name, b64(blob)[:4]), b64(blob)[4:]
        if key_id in keys:
            said, key = text, keys[key_id]
            if key[0] == 4:                                        # a cosignature: its time, then the signature
                said, blob = f"cosignature/v1\ntime {int.from_bytes(blob[:8], 'big')}\n{text}", blob[8:]
            need(dash == "\u2014" and ed25519.verify(key[1:], said.encode(), blob), f"{name} did not sign this")
            signed.add(key_id)
    origin, size, top = text.split("\n")[:3]
    need([key for key in signed if keys[key][0] == 1 and key[0] == origin], "the log did not sign this")
    need(all(key in signed for key in keys if keys[key][0] == 4), "a witness did not sign this")
    return origin, int(size), b64(top)

def leaf_of(entry, index):                                         # sections 1 and 4
    again = json.dumps(json.loads(entry), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    need(again.encode() == entry and json.loads(entry)["v"] == 1, f"entry {index} is not canonical")
    return sha256(b"\0", entry)

def climb(leaf, place, size, path):                                # section 4: the root that a path leads to
    here, last = leaf, size - 1
    need(place <= last, "the index lies beyond the tree")
    for step in map(b64, path):
        need(last, "the path is too long")
        left = place & 1 or place == last
        here = sha256(b"\1", step, here) if left else sha256(b"\1", here, step)
        while left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    need(last == 0, "the path is too short")
    return here

def receipt(text, keys):                                           # section 8: checkpoint, index, entry
    head, _, note = text.partition("\n\n")
    title, extra, index, *path = head.split("\n")
    need(title == "c2sp.org/tlog-proof@v1" and extra[:6] == "extra " and index[:6] == "index ", "this is no receipt")
    head, index, entry = checkpoint(note, keys), int(index[6:]), b64(extra[6:])
    need(climb(leaf_of(entry, index), index, head[1], path) == head[2], f"entry {index} is not in the log")
    return head, index, entry

if __name__ == "__main__":
    for file in sys.argv[2:]:
        (origin, size, _), index, entry = receipt(pathlib.Path(file).read_text("utf-8"), read_keys(sys.argv[1]))
        print(f"VERIFIED: entry {index} of {size} in {origin}: {entry.decode()}")
