//! Domain values inside messages: MessagePack with named fields, as in the log.

use ::bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value could not be written, or the bytes are not one.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The value has a part that MessagePack cannot hold.
    #[error("cannot encode {what}: {source}")]
    Encode {
        /// Type of the value.
        what: &'static str,
        /// The encoder's reason.
        source: rmp_serde::encode::Error,
    },
    /// The bytes are not a value of the type.
    #[error("cannot decode {what} from {size} bytes: {source}")]
    Decode {
        /// Type that was expected.
        what: &'static str,
        /// How many bytes there were.
        size: usize,
        /// The decoder's reason.
        source: rmp_serde::decode::Error,
    },
}

/// Writes a value.
pub fn pack<T: Serialize>(value: &T) -> Result<Bytes, PackError> {
    rmp_serde::to_vec_named(value)
        .map(Bytes::from)
        .map_err(|source| PackError::Encode {
            what: std::any::type_name::<T>(),
            source,
        })
}

/// Reads a value; unknown fields are ignored, absent ones take their defaults.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PackError> {
    rmp_serde::from_slice(bytes).map_err(|source| PackError::Decode {
        what: std::any::type_name::<T>(),
        size: bytes.len(),
        source,
    })
}
