//! Transparency-log mathematics: hashes, trees, proofs, tiles, signed notes.
