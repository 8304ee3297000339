// Checks a log and its receipts with golang.org/x/mod/sumdb, the code behind Go's checksum database:
// signatures, every entry against authenticated tiles, every receipt, every older checkpoint.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func read(parts ...string) string { return string(must(os.ReadFile(filepath.Join(parts...)))) }

// cosigner verifies cosignature/v1 lines (C2SP tlog-cosignature), which the note package leaves to its caller.
type cosigner struct {
	name string
	key  ed25519.PublicKey
}

func (c cosigner) Name() string { return c.name }

func (c cosigner) KeyHash() uint32 {
	hash := sha256.Sum256([]byte(c.name + "\n\x04" + string(c.key)))
	return binary.BigEndian.Uint32(hash[:])
}

func (c cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.key, append([]byte(head), text...), sig[8:])
}

// verifiers reads vkeys, one a line: those of the log, then those of witnesses.
func verifiers(vkeys string) (all []note.Verifier, witnesses int) {
	for _, vkey := range strings.Fields(vkeys) {
		parts := strings.SplitN(vkey, "+", 3)
		if key := must(base64.StdEncoding.DecodeString(parts[2])); key[0] == 4 {
			all = append(all, cosigner{parts[0], key[1:]})
			witnesses++
		} else {
			all = append(all, must(note.NewVerifier(vkey)))
		}
	}
	return all, witnesses
}

// checkpoint opens a note that the log and every witness must have signed.
func checkpoint(text string, known []note.Verifier, witnesses int) tlog.Tree {
	opened := must(note.Open([]byte(text), note.VerifierList(known...)))
	lines := strings.SplitN(opened.Text, "\n", 4)
	byLog := 0
	for _, sig := range opened.Sigs {
		if sig.Name == lines[0] {
			byLog++
		}
	}
	if byLog == 0 || len(opened.Sigs)-byLog < witnesses {
		log.Fatal("a signature is missing")
	}
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: must(tlog.ParseHash(lines[2]))}
}

// files reads tiles from an export.
type files string

func (f files) Height() int                     { return 8 }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// entries reads every bundle and asks for the authenticated hash of every entry.
func entries(folder string, tree tlog.Tree, hashes tlog.HashReader) {
	for first := int64(0); first < tree.N; first += 256 {
		width := min(256, tree.N-first)
		path := tlog.Tile{H: 8, L: -1, N: first / 256, W: int(width)}.Path()
		data := read(folder, strings.Replace(path, "tile/8/data/", "tile/entries/", 1))
		var places []int64
		for i := range width {
			places = append(places, tlog.StoredHashIndex(0, first+i))
		}
		known := must(hashes.ReadHashes(places))
		for i := range width {
			length := int64(binary.BigEndian.Uint16([]byte(data)))
			if tlog.RecordHash([]byte(data[2:2+length])) != known[i] {
				log.Fatalf("entry %d is not the one in the tree", first+i)
			}
			data = data[2+length:]
		}
		if data != "" {
			log.Fatalf("%s is too long", path)
		}
	}
}

func main() {
	log.SetFlags(0)
	folder := os.Args[1]
	known, witnesses := verifiers(read(folder, "log.vkey"))
	tree := checkpoint(read(folder, "log", "checkpoint"), known, witnesses)
	hashes := tlog.TileHashReader(tree, files(filepath.Join(folder, "log")))
	entries(filepath.Join(folder, "log"), tree, hashes)
	older := func(text, file string) tlog.Tree {
		then := checkpoint(text, known, witnesses)
		proof := must(tlog.ProveTree(tree.N, then.N, hashes))
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, then.N, then.Hash); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		return then
	}
	checkpoints := must(filepath.Glob(filepath.Join(folder, "older", "*")))
	for _, file := range checkpoints {
		older(read(file), file)
	}
	receipts := must(filepath.Glob(filepath.Join(folder, "receipts", "*")))
	for _, file := range receipts {
		head, text, _ := strings.Cut(read(file), "\n\n")
		lines := strings.Split(head, "\n")
		entry := must(base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra ")))
		index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
		var proof tlog.RecordProof
		for _, line := range lines[3:] {
			proof = append(proof, must(tlog.ParseHash(line)))
		}
		then := older(text, file)
		if err := tlog.CheckRecord(proof, then.N, then.Hash, index, tlog.RecordHash(entry)); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
	}
	fmt.Printf("%d entries, %d receipts, %d older checkpoints, %d cosigners\n",
		tree.N, len(receipts), len(checkpoints), witnesses)
}
