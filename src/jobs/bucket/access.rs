//! Who opens a bucket: an access key as the file holds it that every S3 tool reads.

use zeroize::Zeroizing;

/// Why a credentials file is none. It quotes nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAccess {
    /// A value is missing or empty.
    #[error("lacks {0}")]
    Lacks(&'static str),
    /// A value stands there twice: which one is meant?
    #[error("holds {0} more than once: keep one profile in a file of its own")]
    Twice(&'static str),
}

/// An access key. It has no printable form, and its secret is wiped when it is dropped.
pub struct Access {
    id: String,
    secret: Zeroizing<String>,
}

impl Access {
    /// Reads a file in the form of `~/.aws/credentials` with one profile.
    ///
    /// # Errors
    /// One of the two values is missing, or there twice.
    pub fn parse(text: &str) -> Result<Self, BadAccess> {
        let id = value(text, "aws_access_key_id")?.to_owned();
        let secret = Zeroizing::new(value(text, "aws_secret_access_key")?.to_owned());
        Ok(Self { id, secret })
    }

    /// The public half.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The secret half, for the signer of requests.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }
}

fn value<'a>(text: &'a str, name: &'static str) -> Result<&'a str, BadAccess> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut found = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    let first = found.next().filter(|value| !value.is_empty()).ok_or(BadAccess::Lacks(name))?;
    if found.next().is_some() { Err(BadAccess::Twice(name)) } else { Ok(first) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn one_profile_is_read_and_two_are_refused() {
        let good = "[default]\naws_access_key_id = ID\naws_secret_access_key=a/b+c==\nregion = x\n";
        let access = Access::parse(good).ok().unwrap();
        assert_eq!((access.id(), access.secret()), ("ID", "a/b+c=="));
        let refused = |text: &str| Access::parse(text).err().unwrap().to_string();
        assert_eq!(refused(""), "lacks aws_access_key_id");
        assert_eq!(refused("aws_access_key_id=ID"), "lacks aws_secret_access_key");
        let empty = refused("aws_access_key_id=ID\naws_secret_access_key=\n");
        assert_eq!(empty, "lacks aws_secret_access_key");
        let twice = refused(&format!("{good}{good}"));
        assert!(twice.contains("more than once") && !twice.contains("ID"), "{twice}");
    }
}
