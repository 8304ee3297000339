//! Other people's crates judge what our doors and our witness gave out, whole and with one byte flipped.

mod cosigned;

mod served;

use std::ops::Range;

/// At most so many places of a range, its first and its last among them.
const PLACES: usize = 9;

/// Places spread over a range.
fn places(range: &Range<usize>) -> Vec<usize> {
    let last = range.len().checked_sub(1).expect("there is nothing to flip");
    let steps = last.min(PLACES - 1);
    (0..=steps).map(|step| range.start + last * step / steps.max(1)).collect()
}
