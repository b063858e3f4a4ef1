//! Identifiers: each kind of id is its own type.
//!
//! Ids that Nomad makes are UUIDs and are kept as 16 bytes; ids and names that users choose are shared strings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A UUID as 16 bytes; printed lower case with dashes.
///
/// The order of the bytes is the order of the printed text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Uuid(pub [u8; 16]);

/// The text is not a UUID of the form `8-4-4-4-12` in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a UUID")]
pub struct ParseIdError {
    /// The refused text, cut to 64 characters.
    pub text: String,
}

impl Uuid {
    /// The UUID of all zeros.
    pub const NIL: Self = Self([0; 16]);

    /// A version 4 UUID from 16 random bytes (the version and variant bits are set here).
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The first 8 characters, as the command line shows ids.
    pub fn short(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 15)];
            at += 2;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseIdError {
            text: text.chars().take(64).collect(),
        };
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(refused());
        }
        let mut id = [0_u8; 16];
        let mut digits = 0;
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(refused());
                }
                continue;
            }
            let digit = char::from(*byte).to_digit(16).ok_or_else(refused)? as u8;
            id[digits / 2] = (id[digits / 2] << 4) | digit;
            digits += 1;
        }
        Ok(Self(id))
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Where fresh ids come from. The scheduler and the server are given one, so that a simulation can replay them.
pub trait IdSource {
    /// Sixteen bytes that were not handed out before.
    fn next_uuid(&mut self) -> Uuid;
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The first 8 characters, as the command line shows ids.
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

uuid_ids! {
    /// A node: random once, kept in the client's data directory.
    NodeId,
    /// An allocation.
    AllocId,
    /// An evaluation.
    EvalId,
    /// A deployment.
    DeploymentId,
    /// A scaling policy.
    ScalingPolicyId,
}

macro_rules! name_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether it is the empty text, which stands for "not set".
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Arc::from(""))
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Arc::<str>::deserialize(deserializer).map(Self)
            }
        }
    )*};
}

name_ids! {
    /// A job's id within its namespace.
    JobId,
    /// A namespace's name.
    Namespace,
}

/// The namespace that always exists.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A job in the cluster: namespace and id together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct JobKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The job's id.
    pub id: JobId,
}

impl JobKey {
    /// A key of the two parts.
    pub fn new(namespace: impl Into<Namespace>, id: impl Into<JobId>) -> Self {
        Self {
            namespace: namespace.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_text_round_trips_and_orders_like_its_bytes() {
        let low: Uuid = "067ddbb4-23ae-09f9-301e-083a46f26f79".parse().unwrap();
        let high: Uuid = "51f72d6d-08cb-7d35-a65c-7a70380fa0b9".parse().unwrap();
        assert_eq!(low.to_string(), "067ddbb4-23ae-09f9-301e-083a46f26f79");
        assert_eq!(low.short(), "067ddbb4");
        assert!(low < high);
    }

    #[test]
    fn malformed_uuids_are_refused() {
        for text in [
            "",
            "067ddbb4",
            "067ddbb4-23ae-09f9-301e-083a46f26f7g",
            "067ddbb4x23ae-09f9-301e-083a46f26f79",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
