//! How values look in Nomad's JSON where serde's own choice differs: null for empty, RFC 3339 times, "" for no id.
//!
//! Each submodule is meant for `#[serde(with = "...")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Empty lists and maps are written as `null`, and `null` is read as empty.
pub mod null_if_empty {
    use super::*;

    /// Collections that know whether they are empty.
    pub trait Emptiness {
        /// Whether nothing is in it.
        fn nothing(&self) -> bool;
    }

    impl<T> Emptiness for Vec<T> {
        fn nothing(&self) -> bool {
            self.is_empty()
        }
    }

    impl<K, V> Emptiness for std::collections::BTreeMap<K, V> {
        fn nothing(&self) -> bool {
            self.is_empty()
        }
    }

    impl Emptiness for serde_json::Map<String, serde_json::Value> {
        fn nothing(&self) -> bool {
            self.is_empty()
        }
    }

    pub fn serialize<T: Emptiness + Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if value.nothing() {
            serializer.serialize_none()
        } else {
            value.serialize(serializer)
        }
    }

    pub fn deserialize<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        null_default::deserialize(deserializer)
    }
}

/// Written as it is; `null` is read as the default.
pub mod null_default {
    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// A [`Timestamp`](crate::Timestamp) as RFC 3339 text.
pub mod rfc3339 {
    use super::*;
    use crate::Timestamp;

    pub fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_rfc3339())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        Timestamp::from_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// A [`Timestamp`](crate::Timestamp) as RFC 3339 text, `null` for "never".
pub mod rfc3339_or_null {
    use super::*;
    use crate::Timestamp;

    pub use super::rfc3339::deserialize;

    pub fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_zero() {
            serializer.serialize_none()
        } else {
            serializer.serialize_str(&value.to_rfc3339())
        }
    }
}

/// An optional id as text, `""` for none.
pub mod opt_id {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::*;

    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        match Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        }
    }
}

/// Bytes as base64 text, `null` for none.
pub mod base64_bytes {
    use super::*;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    pub fn serialize<S: Serializer>(value: &Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_empty() {
            serializer.serialize_none()
        } else {
            serializer.serialize_str(&BASE64_STANDARD.encode(value))
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        BASE64_STANDARD
            .decode(text)
            .map_err(|error| serde::de::Error::custom(format!("not base64: {error}")))
    }
}

/// For `skip_serializing_if`: whether the value is its type's default ("omit zero").
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
