//! Whole stories, told as sentences, on both databases.

mod release;

mod withdrawal_race;
