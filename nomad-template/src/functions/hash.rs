//! Digests.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::Entry;

pub(super) const TABLE: &[Entry] = &[
    ("sha256Hex", "text", |c| {
        Ok(hex(&Sha256::digest(c.bytes(0)?)).into())
    }),
    ("md5sum", "text", |c| {
        Ok(hex(&Md5::digest(c.bytes(0)?)).into())
    }),
    ("hmacSHA256Hex", "message key", |c| {
        Ok(hex(&hmac_sha256(&c.bytes(1)?, &c.bytes(0)?)).into())
    }),
    ("sprig_sha1sum", "text", |c| {
        Ok(hex(&Sha1::digest(c.bytes(0)?)).into())
    }),
    ("sprig_sha256sum", "text", |c| {
        Ok(hex(&Sha256::digest(c.bytes(0)?)).into())
    }),
    ("sprig_sha512sum", "text", |c| {
        Ok(hex(&Sha512::digest(c.bytes(0)?)).into())
    }),
    ("sprig_adler32sum", "text", |c| {
        Ok(adler32(&c.bytes(0)?).to_string().into())
    }),
];

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// HMAC with SHA-256. Source: RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|b| b ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|b| b ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

fn adler32(bytes: &[u8]) -> u32 {
    const MOD: u32 = 65_521;
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MOD;
        (a, (b + a) % MOD)
    });
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            hex(&mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn adler_of_its_inventors_example() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
