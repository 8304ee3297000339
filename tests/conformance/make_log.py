"""Makes the evidence to be judged as an installation makes it: a demonstration, then a busy partner over mutual TLS.

    python3 make_log.py FIELDGATE FOLDER PULLS

FOLDER/sound then holds log.vkey, log/ (an export, extended once), older/ (checkpoints of before), receipts/.
FOLDER/witnessed holds the same export, its checkpoint cosigned by a `fieldgate witness`, and that witness's key.
"""
import http.client, json, pathlib, re, shutil, ssl, subprocess, sys, time

RECEIPTS = 12


class Installation:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.config = str(folder / "fieldgate.toml")

    def run(self, *arguments):
        command = [self.program, "--config", self.config, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def partner(self, code):
        """A partner without a speed limit, with a certificate from its own signing request: its identifier."""
        added = self.run("--json", "partner", "add", code, "--kind", "reseller", "--legal-name", code,
                         "--country", "DE", "--requests-per-minute", "1000000", "--as", "one")
        self.run("partner", "approve", code, "--as", "other")
        key, request, certificate = (str(self.folder / f"{code}.{end}") for end in ("key", "csr", "pem"))
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", f"/CN={code}", "-keyout", key, "-out", request],
                       check=True, stderr=subprocess.DEVNULL)
        self.run("partner", "bind-certificate", code, "--csr", request, "--out", certificate)
        self.run("partner", "grant", code, "--purpose", "offers", "--territory", "DE")
        return json.loads(added)["id"]


class Client:
    """One connection over mutual TLS, with a token of its own."""

    def __init__(self, installation, code, partner):
        url = re.search(r'partner_url = "https://localhost:(\d+)"', pathlib.Path(installation.config).read_text())
        context = ssl.create_default_context(cafile=installation.folder / "ca.pem")
        context.load_cert_chain(installation.folder / f"{code}.pem", installation.folder / f"{code}.key")
        self.gate = http.client.HTTPSConnection("localhost", int(url[1]), context=context, timeout=30)
        self.partner, self.token = partner, {}

    def renew(self):
        form = f"grant_type=client_credentials&client_id={self.partner}&scope=offers"
        answer = self.ask("POST", "/oauth2/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        self.token = {"Authorization": "Bearer " + json.loads(answer)["access_token"]}

    def ask(self, method, path, body=None, headers=None):
        self.gate.request(method, path, body, headers or self.token)
        answer = self.gate.getresponse()
        content = answer.read()
        if answer.status != 200:
            sys.exit(f"{method} {path}: {answer.status} {content}")
        return content

    def pull(self, times):
        """Pulls pages of one lead; gives the indices of their entries."""
        indices = []
        for n in range(times):
            if n % 1000 == 0:
                self.renew()
            page = json.loads(self.ask("GET", "/v1/leads?purpose=offers&limit=1"))
            indices.append(page["receipt"]["index"])
        return indices


def ready(installation, gate):
    """Waits until the doors answer, or the gateway has ended."""
    text = pathlib.Path(installation.config).read_text()
    host, port = re.search(r'ops = "([^":]+):(\d+)"', text).groups()
    for _ in range(600):
        if gate.poll() is not None:
            sys.exit(f"the gateway ended with {gate.returncode}")
        try:
            asked = http.client.HTTPConnection(host, int(port), timeout=5)
            asked.request("GET", "/readyz")
            if asked.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("the gateway does not get ready")


class Witness:
    """A running `fieldgate witness` of one log."""

    def __init__(self, program, folder, policy):
        command = [program, "witness", "--dir", str(folder), "--policy", str(policy), "--listen", "127.0.0.1:0",
                   "--name", "witness.example.com"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.vkey = self.process.stdout.readline().split()[1]
        self.address = self.process.stdout.readline().split()[1].removeprefix("http://")

    def cosign(self, note):
        """The first note of the log, with the witness's line below it."""
        door = http.client.HTTPConnection(self.address, timeout=30)
        door.request("POST", "/add-checkpoint", f"old 0\n\n{note}".encode())
        answer = door.getresponse()
        line = answer.read().decode()
        if answer.status != 200:
            sys.exit(f"the witness answered {answer.status} {line}")
        return note + line

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def witness(program, folder):
    """The export of FOLDER/sound once more, its checkpoint cosigned."""
    sound, case = folder / "sound", folder / "witnessed"
    for part in ("older", "receipts"):
        (case / part).mkdir(parents=True)
    shutil.copytree(sound / "log", case / "log")
    witness = Witness(program, folder / "witness", sound / "log.vkey")
    try:
        note = (sound / "log/checkpoint").read_text("utf-8")
        (case / "log/checkpoint").write_text(witness.cosign(note), "utf-8")
        keys = (sound / "log.vkey").read_text("utf-8").strip()
        (case / "log.vkey").write_text(f"{keys}\n{witness.vkey}\n", "utf-8")
    finally:
        witness.stop()


def bundles(installation, demo, folder):
    """Answers with their proofs: about a person, and about everybody."""
    folder.mkdir()
    (demo / "address").write_text("ann.adler.0@example.com")
    for name, question in (("person", ["--email-file", str(demo / "address")]), ("refusals", ["--decision", "withhold"]),
                           ("everything", ["--until", "2999-01-01"])):
        installation.run("audit", "export", *question, "--bundle", str(folder / f"{name}.zip"))


def main(program, folder, pulls):
    folder, program = pathlib.Path(folder), str(pathlib.Path(program).resolve())
    shutil.rmtree(folder, ignore_errors=True)
    sound = folder / "sound"
    for part in ("older", "receipts"):
        (sound / part).mkdir(parents=True)
    demo = folder / "demo"
    subprocess.run([program, "demo", "--once", "--dir", str(demo), "--people", "200"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    installation = Installation(program, demo)
    bundles(installation, demo, sound / "bundles")
    partner = installation.partner("busy")
    with open(folder / "gateway.log", "w") as log:
        gate = subprocess.Popen([program, "--config", installation.config, "serve"], stdout=log, stderr=log)
    try:
        ready(installation, gate)
        client = Client(installation, "busy", partner)
        # Two halves, with an export between them: the second export extends the first.
        for half in (1, 2):
            indices = client.pull(pulls // 2)
            for index in indices[::len(indices) // RECEIPTS]:
                receipt = client.ask("GET", f"/v1/receipts/{index}")
                (sound / "receipts" / f"{index:06d}-served.tlog-proof").write_bytes(receipt)
            installation.run("ledger", "export", "--dir", str(sound / "log"))
            if half == 1:
                shutil.copy(sound / "log/checkpoint", sound / "older/checkpoint")
    finally:
        gate.terminate()
        gate.wait(timeout=30)
    (sound / "log.vkey").write_text(installation.run("ledger", "key"), "utf-8")
    size = int((sound / "log/checkpoint").read_text("utf-8").split("\n")[1])
    for index in (0, 255, 256, size - 1):
        receipt = str(sound / "receipts" / f"{index:06d}-proved.tlog-proof")
        installation.run("ledger", "prove", str(index), "--out", receipt)
    shutil.copy(demo / "receipt.tlog-proof", sound / "receipts/demo.tlog-proof")
    witness(program, folder)
    print(f"{size} entries exported, {len(list((sound / 'receipts').iterdir()))} receipts")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
