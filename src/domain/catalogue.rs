//! The macro by which a closed list is written once: one row, and everything else follows.

/// Why a code is none: it is not among those that are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownCode(String);

/// Finds what a code stands for among all that there is.
///
/// # Errors
/// Names the codes that are known.
pub fn find_code<T: Copy>(
    code: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, UnknownCode> {
    all.iter().copied().find(|one| name(*one) == code).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|one| name(*one)).collect();
        UnknownCode(known.join(", "))
    })
}

/// Writes a closed list of codes once: variant, code, and the doc line.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$row:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$row])* $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code in tables, entries and answers.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Finds one by its code; `None` for anything else.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

pub(crate) use codes;

/// Writes an enum from rows: variant, code, and the row's value. Gives `ALL`, `code`, `row`,
/// `from_code`, `bit`, and a set type over the variants held in one integer.
macro_rules! catalogue {
    (
        $(#[$doc:meta])* $name:ident, $(#[$setdoc:meta])* $set:ident($bits:ty), row $row:ty;
        $($(#[$vdoc:meta])* $variant:ident = $bit:literal, $code:literal => $value:expr;)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every row, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code on the wire, in tables and in entries.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The catalogue row.
            pub fn row(self) -> $row {
                match self { $(Self::$variant => $value,)* }
            }

            /// Its place in the set's integer and in the database; never reused.
            pub const fn bit(self) -> u8 {
                match self { $(Self::$variant => $bit,)* }
            }

            /// Finds a row by its code. `None` for anything else: unknown codes are refused.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Finds a row by its place.
            pub fn from_bit(bit: u8) -> Option<Self> {
                match bit { $($bit => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        $(#[$setdoc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $set($bits);

        impl $set {
            /// The empty set.
            pub const NONE: Self = Self(0);

            /// Every row of the catalogue.
            pub const EVERY: Self = Self(0 $(| (1 << $bit))*);

            /// The set of the rows given.
            pub const fn of(rows: &[$name]) -> Self {
                let mut bits = 0;
                let mut rest = rows;
                while let [first, tail @ ..] = rest {
                    bits |= 1 << first.bit();
                    rest = tail;
                }
                Self(bits)
            }

            /// The integer that stands for the set in tables and entries.
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Reads the integer. `None` where it names a row that does not exist.
            pub const fn from_bits(bits: $bits) -> Option<Self> {
                if bits & !Self::EVERY.0 == 0 { Some(Self(bits)) } else { None }
            }

            /// Whether the row is in the set.
            pub const fn contains(self, row: $name) -> bool {
                self.0 & (1 << row.bit()) != 0
            }

            /// Whether every row of this set is in the other.
            pub const fn within(self, other: Self) -> bool {
                self.0 & !other.0 == 0
            }

            /// The rows that are in both.
            #[must_use]
            pub const fn and(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// The rows that are in either.
            #[must_use]
            pub const fn or(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The rows of this set that are not in the other.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether the set holds nothing.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// How many rows it holds.
            pub const fn len(self) -> u32 {
                self.0.count_ones()
            }

            /// Its rows, in the order of the catalogue.
            pub fn iter(self) -> impl Iterator<Item = $name> {
                $name::ALL.iter().copied().filter(move |row| self.contains(*row))
            }

            /// Reads codes. The error is the first code that is unknown or named twice.
            pub fn from_codes<'a>(
                codes: impl IntoIterator<Item = &'a str>,
            ) -> Result<Self, &'a str> {
                codes.into_iter().try_fold(Self::NONE, |set, code| match $name::from_code(code) {
                    Some(row) if !set.contains(row) => Ok(set.or(Self::of(&[row]))),
                    _ => Err(code),
                })
            }

            /// Its codes joined by commas, in the order of the catalogue.
            pub fn codes(self) -> String {
                self.iter().map($name::code).collect::<Vec<_>>().join(",")
            }
        }

        impl FromIterator<$name> for $set {
            fn from_iter<I: IntoIterator<Item = $name>>(rows: I) -> Self {
                rows.into_iter().fold(Self::NONE, |set, row| set.or(Self::of(&[row])))
            }
        }

        impl std::fmt::Debug for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($set), "({})"), self.codes())
            }
        }
    };
}

pub(crate) use catalogue;
