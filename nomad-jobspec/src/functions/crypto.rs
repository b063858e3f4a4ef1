//! Digests, ids, and what the host does for us.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::Digest as _;

use super::args::{ArgError, Args, Outcome, bad};

/// The cost that `bcrypt` has where none is given.
const BCRYPT_COST: u32 = 10;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn md5(args: &Args<'_>) -> Outcome {
    Ok(hex(&md5::Md5::digest(args.string(0)?.as_bytes())).into())
}

pub(super) fn sha1(args: &Args<'_>) -> Outcome {
    Ok(hex(&sha1::Sha1::digest(args.string(0)?.as_bytes())).into())
}

pub(super) fn sha256(args: &Args<'_>) -> Outcome {
    Ok(hex(&sha2::Sha256::digest(args.string(0)?.as_bytes())).into())
}

pub(super) fn sha512(args: &Args<'_>) -> Outcome {
    Ok(hex(&sha2::Sha512::digest(args.string(0)?.as_bytes())).into())
}

pub(super) fn bcrypt(args: &Args<'_>) -> Outcome {
    let cost = match args.len() {
        2 => u32::try_from(args.int(1)?).map_err(|_| bad(1, "must not be negative"))?,
        _ => BCRYPT_COST,
    };
    Ok(args
        .evaluator
        .host
        .bcrypt(args.string(0)?.as_bytes(), cost)?
        .into())
}

pub(super) fn rsadecrypt(args: &Args<'_>) -> Outcome {
    let ciphertext = BASE64_STANDARD
        .decode(args.string(0)?.as_bytes())
        .map_err(|_| {
            bad(
                0,
                "failed to decode the ciphertext: the input has to be base64",
            )
        })?;
    let plain = args
        .evaluator
        .host
        .rsa_decrypt(&ciphertext, &args.string(1)?)?;
    Ok(String::from_utf8(plain)
        .map_err(|_| ArgError::from("the plaintext is not valid UTF-8"))?
        .into())
}

pub(super) fn uuidv4(args: &Args<'_>) -> Outcome {
    Ok(args.evaluator.host.uuid()?.into())
}

/// The namespaces of RFC 9562 by name.
const NAMESPACES: [(&str, &str); 4] = [
    ("dns", "6ba7b8109dad11d180b400c04fd430c8"),
    ("url", "6ba7b8119dad11d180b400c04fd430c8"),
    ("oid", "6ba7b8129dad11d180b400c04fd430c8"),
    ("x500", "6ba7b8149dad11d180b400c04fd430c8"),
];

pub(super) fn uuidv5(args: &Args<'_>) -> Outcome {
    let (namespace, name) = (args.string(0)?, args.string(1)?);
    let digits = NAMESPACES
        .iter()
        .find(|(known, _)| *known == &*namespace)
        .map_or_else(
            || namespace.replace('-', ""),
            |(_, digits)| (*digits).to_owned(),
        );
    let bytes = u128::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 32)
        .ok_or_else(|| bad(0, "uuidv5() doesn't support this namespace"))?
        .to_be_bytes();
    let digest = sha1::Sha1::new()
        .chain_update(bytes)
        .chain_update(name.as_bytes())
        .finalize();
    let mut id = [0_u8; 16];
    id.copy_from_slice(&digest[..16]);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let text = hex(&id);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
    .into())
}
