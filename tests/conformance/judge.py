"""Shows the evidence to every checker, whole and with one byte flipped, and compares their judgement with the table.

    python3 judge.py TOOLS FOLDER GOLDEN

TOOLS holds the installed checkers, FOLDER/sound the evidence, FOLDER/witnessed its log as a running `fieldgate
witness` cosigned it, GOLDEN the golden log of tests/vectors, which a witness has cosigned as well. A checker that cannot see a kind of damage is listed so; were it to see it after all, the
table would be wrong, and that fails as well.
"""
import os, pathlib, shutil, subprocess, sys, zipfile

HERE = pathlib.Path(__file__).resolve().parent
VERIFY = HERE.parent.parent / "docs" / "verify"


def checkers(tools):
    python = str(tools / "venv/bin/python")
    library = str(tools / "node_modules/@sigstore/verify")
    return {
        "x/mod/sumdb": lambda case: [str(tools / "tlog"), str(case)],
        "@sigstore/verify": lambda case: ["node", str(HERE / "sigstore.cjs"), library, str(case)],
        "pymerkle": lambda case: [python, str(HERE / "pymerkle_root.py"), str(case)],
        "rfc8785": lambda case: [python, str(HERE / "rfc8785_entries.py"), str(case)],
        "docs/verify": lambda case: [
            python, str(VERIFY / "export.py"), str(case / "log.vkey"), str(case / "log"),
            *map(str, sorted((case / "older").glob("*"))), *map(str, sorted((case / "receipts").glob("*"))),
        ],
    }


GO, NPM, ROOT, JCS, OURS = "x/mod/sumdb", "@sigstore/verify", "pymerkle", "rfc8785", "docs/verify"
TREE = {GO, ROOT, OURS}
RECEIPT = {GO, NPM, OURS}
TILES = {GO, OURS}


def in_entry(marker, step):
    """The byte `step` behind the first `marker`: of a value, if the marker is its key."""
    return lambda data: data.index(marker) + len(marker) + step


def in_line(number, place):
    """The byte at this place of a line of text."""
    return lambda data: sum(len(line) + 1 for line in data.split(b"\n")[:number]) + place


def in_signature(data):
    return data.rindex(b" ") + 40


# What is flipped (bit 0 of one byte), and who must refuse; all others must accept.
DAMAGE = [
    ("a value of an entry", "log/tile/entries/001", in_entry(b'"req":"req_', 9), TREE),
    ("a value of an entry on the edge", "log/tile/entries/*.p/*", in_entry(b'"req":"req_', 9), TREE),
    ("the form of an entry", "log/tile/entries/002", in_entry(b'","k":', -5), TREE | {JCS}),
    ("the length of an entry", "log/tile/entries/003", lambda data: 1, TREE | {JCS}),
    ("a hash of a full tile", "log/tile/0/004", lambda data: 4000, TILES),
    ("a hash of a partial tile", "log/tile/0/*.p/*", lambda data: len(data) - 9, TILES),
    ("a hash of a tile of level 1", "log/tile/1/000.p/*", lambda data: len(data) - 9, TILES),
    ("the origin of the checkpoint", "log/checkpoint", in_line(0, 3), {GO, NPM, OURS}),
    ("the size of the checkpoint", "log/checkpoint", in_line(1, 0), {GO, NPM, ROOT, JCS, OURS}),
    ("the root of the checkpoint", "log/checkpoint", in_line(2, 10), {GO, NPM, ROOT, OURS}),
    ("the signature of the checkpoint", "log/checkpoint", in_signature, RECEIPT),
    ("the root of an older checkpoint", "older/checkpoint", in_line(2, 10), {GO, ROOT, OURS}),
    ("the signature of an older checkpoint", "older/checkpoint", in_signature, TILES),
    ("the entry in a receipt", "receipts/*-served.tlog-proof", in_line(1, 206), RECEIPT),
    ("the index in a receipt", "receipts/*-served.tlog-proof", in_line(2, 7), RECEIPT),
    ("the path in a receipt", "receipts/*-served.tlog-proof", in_line(4, 20), RECEIPT),
    ("the root in a receipt", "receipts/000000-proved.tlog-proof", lambda d: d.index(b"\n\n") + 50, RECEIPT),
    ("the signature in a receipt", "receipts/*-proved.tlog-proof", in_signature, RECEIPT),
    ("the log's key", "log.vkey", lambda data: len(data) - 20, RECEIPT),
]

# On a cosigned log: what a witness adds, which x/mod hands to a verifier of its caller's.
COSIGNED = [
    ("the key id of a cosignature", "log/checkpoint", lambda data: data.rindex(b" ") + 3, TILES),
    ("the time of a cosignature", "log/checkpoint", lambda data: data.rindex(b" ") + 16, TILES),
    ("the signature of a cosignature", "log/checkpoint", in_signature, TILES),
    ("the witness's key", "log.vkey", lambda data: len(data) - 20, TILES),
]


def flip(case, pattern, place):
    """Flips the lowest bit of one byte of the newest file that fits: the one that the newest checkpoint needs."""
    file = max(case.glob(pattern), key=lambda file: file.stat().st_mtime_ns)
    data = bytearray(file.read_bytes())
    data[place(bytes(data))] ^= 1
    file.unlink()
    file.write_bytes(data)


def copy(sound, case):
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(sound, case, copy_function=os.link)


def golden(vectors, case):
    """The golden log as evidence: its checkpoint bears a cosignature."""
    shutil.rmtree(case, ignore_errors=True)
    for part in ("older", "receipts"):
        (case / part).mkdir(parents=True)
    shutil.copytree(vectors / "tile", case / "log/tile")
    shutil.copy(vectors / "checkpoint", case / "log/checkpoint")
    keys = [(vectors / f"{name}.vkey").read_text("utf-8") for name in ("log", "witness")]
    (case / "log.vkey").write_text("\n".join(keys) + "\n", "utf-8")


def judge(commands, case, title, refusing):
    """One row of the table; complains about every judgement that is not the expected one."""
    wrong, row = [], []
    for name, command in commands.items():
        done = subprocess.run(command(case), capture_output=True, text=True)
        refused = done.returncode != 0
        row.append("refuses" if refused else "accepts")
        if refused != (name in refusing):
            wrong.append(f"{title}: {name} {row[-1]} {case}\n{done.stdout}{done.stderr}")
        elif not refusing:
            print(f"  {name:<18} {done.stdout.strip()}")
    print(f"  {title:<40}" + "".join(f"{word:<18}" for word in row), flush=True)
    return wrong


def respelled(file, case, part, place):
    """The bundle with the lowest bit of one byte of one part flipped, and all sums of the archive right."""
    with zipfile.ZipFile(file) as sound, zipfile.ZipFile(case, "w") as spoiled:
        for name in sound.namelist():
            data = bytearray(sound.read(name))
            if name == part:
                data[place] ^= 1
            spoiled.writestr(name, bytes(data))


def judge_bundles(python, sound, case):
    """Proof bundles, whole and with one byte of each kind of part flipped, several places each."""
    def refuses(file):
        done = subprocess.run([python, str(VERIFY / "bundle.py"), str(sound / "log.vkey"), str(file)], capture_output=True, text=True)
        return done.returncode != 0, done.stdout + done.stderr

    wrong, tried = [], 0
    for file in sorted((sound / "bundles").glob("*.zip")):
        refused, says = refuses(file)
        print(f"  {file.name:<18} {says.strip()}")
        wrong += [f"{file.name}: {says}"] if refused else []
        with zipfile.ZipFile(file) as archive:
            parts = {name: len(archive.read(name)) for name in archive.namelist()}
        kinds = {name.split("/")[0]: name for name in parts if not name.endswith((".txt", "manifest.json")) or "/" in name}
        for part in kinds.values():
            for place in sorted({0, *(parts[part] * step // 7 for step in range(1, 7)), parts[part] - 1}):
                respelled(file, case, part, place)
                tried += 1
                wrong += [] if refuses(case)[0] else [f"{file.name}: {part} flipped at {place} is accepted"]
    print(f"  {tried} bundles with a flipped byte: docs/verify refuses {tried - len(wrong)}", flush=True)
    return wrong


def main(tools, folder, vectors):
    commands, sound, case = checkers(tools), folder / "sound", folder / "case"
    print(f"  {'flipped byte':<40}" + "".join(f"{name:<18}" for name in commands))
    wrong = judge(commands, sound, "none", set())
    for title, pattern, place, refusing in DAMAGE:
        copy(sound, case)
        flip(case, pattern, place)
        wrong += judge(commands, case, title, refusing)
    for receipt in sorted((sound / "receipts").glob("*-served*"))[:2]:
        printed = [str(tools / "venv/bin/python"), str(VERIFY / "receipt.py"), str(sound / "log.vkey"), str(receipt)]
        print(f"  {subprocess.run(printed, check=True, capture_output=True, text=True).stdout.strip()[:100]}")
    wrong += judge_bundles(str(tools / "venv/bin/python"), sound, folder / "case.zip")
    golden(vectors, folder / "golden")
    for cosigned, name in ((folder / "golden", "the golden log"), (folder / "witnessed", "a witness of ours")):
        wrong += judge(commands, cosigned, f"none, {name}", set())
        for title, pattern, place, refusing in COSIGNED:
            copy(cosigned, case)
            flip(case, pattern, place)
            wrong += judge(commands, case, title, refusing)
    if wrong:
        sys.exit("\n".join(["NOT AS EXPECTED", *wrong]))


if __name__ == "__main__":
    main(*(pathlib.Path(argument).resolve() for argument in sys.argv[1:]))
