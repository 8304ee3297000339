//! Whole stories, told as sentences, on both databases.

mod release;

mod separate_role;

mod withdrawal_race;
