"""Verifies a proof bundle, an answer of the ledger, as ledger-format.md section 12 defines it, without any code of Fieldgate:

    python3 bundle.py log.vkey ann.zip

That no other entry answers the question is shown by an export of the whole log, not by a bundle.
"""
import base64, csv, json, sys, zipfile
from receipt import checkpoint, climb, leaf_of, need, read_keys, sha256

SAYS = {"time": "t", "kind": "k", "operation": "op", "partner": "aud", "certificate": "cert", "purpose": "pur",
        "policy_version": "pol", "fields": "fields", "decision": "dec", "reason": "why", "people": "cnt", "actor": "act",
        "subject": "sub", "detail": "det", "request": "req"}       # a column of the answer, and the key of the entry

def entry_of(parts, index, head):                                  # section 8, without `extra`
    entry, proof = (parts.pop(part) for part in (f"entries/{index}.json", f"proofs/{index}.tlog-proof"))
    lines, _, note = proof.decode().partition("\n\n")
    title, at, *path = lines.split("\n")
    need((title, at) == ("c2sp.org/tlog-proof@v1", f"index {index}"), f"the proof of entry {index} is another's")
    need(note == parts["checkpoint"].decode(), f"the proof of entry {index} leads to another checkpoint")
    need(climb(leaf_of(entry, index), index, head[1], path) == head[2], f"entry {index} is not in the log")
    return json.loads(entry)

def fields_below(parts, index, entry):                             # section 2: how many fields of the person asked about
    seen = None
    for name in [name for name in parts if name.startswith(f"items/{index}-")]:
        lines, _, item = parts.pop(name).decode().partition("\n\n")
        place, *path = lines.split("\n")
        need(name == f"items/{index}-{place[9:]}.txt" and place[:9] == "position ", f"{name} speaks of another place")
        root = climb(sha256(b"\0", item.encode()), int(place[9:]), entry["cnt"], path)
        need(root == base64.urlsafe_b64decode(entry["items"] + "="), f"{name} does not belong to its entry")
        seen = (seen or 0) | json.loads(item)["f"]
    return None if seen is None else seen.bit_count()

def cell(value):                                                   # a spreadsheet takes nothing for a formula
    text = "" if value is None else " ".join(value) if isinstance(value, list) else str(value)
    return "'" + text if text[:1] in tuple("=+-@\t\r") else text

def bundle(file, keys):
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    need(json.loads(parts.pop("manifest.json"))["format"] == 1, "this is another format")
    head = checkpoint(parts["checkpoint"].decode(), keys)
    *lines, end = parts.pop("answer.jsonl").decode().split("\n")
    rows = [json.loads(line) for line in lines]
    for row in rows:
        entry = entry_of(parts, row["index"], head)
        wrong = [column for column, key in SAYS.items() if row[column] != entry.get(key)]
        hers, count = row["person_fields"], fields_below(parts, row["index"], entry)
        need(not wrong and (None if hers is None else len(hers)) == count,
             f"the answer says of entry {row['index']} what the entry does not: {wrong or 'person_fields'}")
    table = list(csv.reader(parts.pop("answer.csv").decode().split("\r\n")[:-1]))
    need(table[0] == ["index", *[name for name in rows[0] if name != "index"]] if rows else len(table) == 1, "other columns")
    need(table[1:] == [[cell(value) for value in row.values()] for row in rows], "answer.csv and answer.jsonl differ")
    need(not end and len(lines) == len(table) - 1, "a line of the answer is cut off")
    need(set(parts) == {"checkpoint", "policy.txt", "README.txt"}, f"nothing vouches for {sorted(parts)[:3]}")
    return head, rows

if __name__ == "__main__":
    for file in sys.argv[2:]:
        try:
            (origin, size, _), rows = bundle(file, read_keys(sys.argv[1]))
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            sys.exit(f"NOT VERIFIED: a part is missing or malformed: {error!r}")
        print(f"VERIFIED: {len(rows)} entries of {size} in {origin}")
