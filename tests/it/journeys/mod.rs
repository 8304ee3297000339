//! Whole stories, told as sentences, on both databases.

mod dictionary;

mod erasure;

mod erasure_race;

mod pruning;

mod recall;

mod release;

mod separate_role;

mod withdrawal_race;
