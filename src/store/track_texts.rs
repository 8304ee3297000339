//! The statements of a search, in both directions, and which index must answer each.

/// The first index whose clock (`at + late`, which never falls) has reached a time.
pub(super) const HALVE: &str = "WITH RECURSIVE half (low, high) AS (SELECT CAST(0 AS BIGINT), $1 \
     UNION ALL SELECT \
     CASE WHEN coalesce(p.at + coalesce(p.late, 0), -9223372036854775807) < $2 \
         THEN (low + high) / 2 + 1 ELSE low END, \
     CASE WHEN coalesce(p.at + coalesce(p.late, 0), -9223372036854775807) < $2 \
         THEN high ELSE (low + high) / 2 END \
     FROM half LEFT JOIN ledger_projection p ON p.idx = (low + high) / 2 WHERE low < high) \
     SELECT low FROM half WHERE low >= high";

/// By how much the clock was ever set back, where it was more than `LATE`.
pub(super) const LATEST: &str =
    "SELECT coalesce(max(late), 0) FROM ledger_projection WHERE late > 60000000";

/// A text for the newest first, and the same for the oldest first.
macro_rules! both_ways {
    ($before:literal, $after:literal) => {
        (concat!($before, " DESC ", $after), concat!($before, " ", $after))
    };
}

pub(super) const EVERY: (&str, &str) = both_ways!(
    "SELECT idx FROM ledger_projection WHERE idx > $1 AND idx < $2 AND at >= $3 AND at < $4 \
     ORDER BY idx",
    "LIMIT $5"
);

/// `SQLite` alone: the rows of all tracks together in their order, each with whether its time fits.
///
/// The queue of a recursion that is ordered is a queue by rank: it begins with the first entry of
/// each track, gives the nearest, and takes the next of the same track in its place. So a page
/// costs a look into the index for each track and each row. Its limit ends the recursion: what is
/// behind the page is not read.
macro_rules! step_tracks {
    ($of:literal, $same:literal, $nearest:literal, $beyond:literal, $end:literal, $order:literal) => {
        concat!(
            "WITH RECURSIVE step (asker, shape, idx) AS (\
             SELECT track.value ->> 0, track.value ->> 1, (SELECT ",
            $nearest,
            "(p.idx) FROM ledger_projection p WHERE ",
            $of,
            " AND p.idx > $1 AND p.idx < $2) FROM json_each($3) AS track WHERE true \
             UNION ALL SELECT asker, shape, (SELECT ",
            $nearest,
            "(p.idx) FROM ledger_projection p WHERE ",
            $same,
            " AND p.idx ",
            $beyond,
            " step.idx AND p.idx ",
            $end,
            ") FROM step WHERE idx IS NOT NULL ORDER BY 3 ",
            $order,
            " NULLS LAST LIMIT $4) SELECT idx, (SELECT p.at >= $5 AND p.at < $6 \
             FROM ledger_projection p WHERE p.idx = step.idx) FROM step WHERE idx IS NOT NULL"
        )
    };
    ($of:literal, $same:literal) => {
        (
            step_tracks!($of, $same, "max", "<", "> $1", "DESC"),
            step_tracks!($of, $same, "min", ">", "< $2", "ASC"),
        )
    };
}

pub(super) const STEP_SHAPES: (&str, &str) =
    step_tracks!("p.shape = track.value ->> 1", "p.shape = step.shape");

pub(super) const STEP_ASKERS: (&str, &str) = step_tracks!(
    "p.asker = track.value ->> 0 AND p.shape = track.value ->> 1",
    "p.asker = step.asker AND p.shape = step.shape"
);

/// `PostgreSQL` alone: some rows of each track in one round trip, each with whether its time fits.
///
/// The comparison of rows takes away the server's choice: with `shape = ` it would walk all entries
/// in order wherever it believes that a shape is common, and read millions where the shape begins
/// late. Where a track ends is looked at behind the limit, because a second comparison would not
/// end the scan: the server stops by the first column of a comparison alone, and would walk
/// through everything else that an asker ever did.
macro_rules! each_track {
    ($key:literal, $of:literal, $way:literal, $same:literal, $order:literal, $end:literal) => {
        concat!(
            "SELECT track.no, found.idx, found.at >= $5 AND found.at < $6 \
             FROM unnest($1, $2, $3) WITH ORDINALITY AS track (asker, shape, beyond, no) \
             CROSS JOIN LATERAL (SELECT p.asker, p.shape, p.idx, p.at FROM ledger_projection p \
             WHERE (",
            $key,
            ") ",
            $way,
            " (",
            $of,
            ", track.beyond) ORDER BY ",
            $order,
            " LIMIT $7) AS found WHERE ",
            $same,
            " AND found.idx ",
            $end,
            " $4"
        )
    };
}

pub(super) const OF_SHAPES: (&str, &str) = (
    each_track!(
        "p.shape, p.idx",
        "track.shape",
        "<",
        "found.shape = track.shape",
        "p.shape DESC, p.idx DESC",
        ">"
    ),
    each_track!(
        "p.shape, p.idx",
        "track.shape",
        ">",
        "found.shape = track.shape",
        "p.shape, p.idx",
        "<"
    ),
);

pub(super) const OF_ASKERS: (&str, &str) = (
    each_track!(
        "p.asker, p.shape, p.idx",
        "track.asker, track.shape",
        "<",
        "found.asker = track.asker AND found.shape = track.shape",
        "p.asker DESC, p.shape DESC, p.idx DESC",
        ">"
    ),
    each_track!(
        "p.asker, p.shape, p.idx",
        "track.asker, track.shape",
        ">",
        "found.asker = track.asker AND found.shape = track.shape",
        "p.asker, p.shape, p.idx",
        "<"
    ),
);

pub(super) const PERSON: (&str, &str) = both_ways!(
    "SELECT i.idx, p.asker, p.shape FROM disclosed_item i JOIN ledger_projection p ON p.idx = i.idx \
     WHERE i.contact_no = $1 AND i.idx > $2 AND i.idx < $3 AND p.at >= $4 AND p.at < $5 \
     ORDER BY i.idx",
    "LIMIT $6"
);

/// `SQLite` alone: which shapes an asker ever met, one step of the index for each, whatever lies
/// between.
pub(super) const MET: &str = "WITH RECURSIVE met (shape) AS (\
     SELECT min(shape) FROM ledger_projection WHERE asker = $1 \
     UNION ALL SELECT (SELECT min(shape) FROM ledger_projection \
         WHERE asker = $1 AND shape > met.shape) FROM met WHERE met.shape IS NOT NULL) \
     SELECT shape FROM met WHERE shape IS NOT NULL";

/// `PostgreSQL` alone: the same with the entry at which a step arrives, the newest or the oldest of
/// its shape. Rows are compared for the reason of `OF_SHAPES`: a partition without statistics would
/// be walked by shape until one of this asker comes.
macro_rules! met_as_rows {
    ($begin:literal, $on:literal, $order:literal) => {
        concat!(
            "WITH RECURSIVE met (asker, shape, idx) AS (\
             (SELECT p.asker, p.shape, p.idx FROM ledger_projection p \
             WHERE (p.asker, p.shape) ",
            $begin,
            " ORDER BY ",
            $order,
            " LIMIT 1) UNION ALL SELECT next.asker, next.shape, next.idx \
             FROM met CROSS JOIN LATERAL (\
             SELECT p.asker, p.shape, p.idx FROM ledger_projection p \
             WHERE (p.asker, p.shape) ",
            $on,
            " (met.asker, met.shape) ORDER BY ",
            $order,
            " LIMIT 1) AS next WHERE met.asker = $1) \
             SELECT shape, idx FROM met WHERE asker = $1"
        )
    };
}

pub(super) const MET_AS_ROWS: (&str, &str) = (
    met_as_rows!("<= ($1, 2147483647)", "<", "p.asker DESC, p.shape DESC, p.idx DESC"),
    met_as_rows!(">= ($1, 0)", ">", "p.asker, p.shape, p.idx"),
);

/// A statement of a search in both directions, for whoever looks at its plan.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// The index that must answer it; `primary` is that of the key.
    pub index: &'static str,
    /// Whether it runs on `PostgreSQL` alone, on `SQLite` alone, or on both.
    pub postgres: Option<bool>,
    /// The newest first, the oldest first; the same text where there is no direction.
    pub texts: [&'static str; 2],
}

/// Every statement that reads the rows of entries.
pub fn statements() -> [Statement; 10] {
    let row =
        |index, postgres, (newest, oldest)| Statement { index, postgres, texts: [newest, oldest] };
    [
        row("primary", None, EVERY),
        row("ledger_projection_shape", Some(false), STEP_SHAPES),
        row("ledger_projection_asker", Some(false), STEP_ASKERS),
        row("ledger_projection_shape", Some(true), OF_SHAPES),
        row("ledger_projection_asker", Some(true), OF_ASKERS),
        row("ledger_projection_asker", Some(false), (MET, MET)),
        row("ledger_projection_asker", Some(true), MET_AS_ROWS),
        row("primary", None, PERSON),
        row("primary", None, (HALVE, HALVE)),
        row("ledger_projection_late", None, (LATEST, LATEST)),
    ]
}
