//! Network prefixes in CIDR notation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::args::{ArgError, Args, Outcome, bad};
use crate::value::{Nat, Value};

/// A network: its address as a number, and how many of its bits are fixed.
#[derive(Clone, Copy)]
struct Prefix {
    address: u128,
    length: u32,
    /// 32 or 128.
    bits: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, bits) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let length: u32 = length.parse().ok().filter(|length| *length <= bits)?;
        Some(
            Self {
                address,
                length,
                bits,
            }
            .masked(),
        )
    }

    /// The network without host bits.
    fn masked(self) -> Self {
        let host_bits = self.bits - self.length;
        let address = if host_bits >= 128 {
            0
        } else {
            self.address >> host_bits << host_bits
        };
        Self { address, ..self }
    }

    fn show_address(self, address: u128) -> String {
        if self.bits == 32 {
            Ipv4Addr::from(address as u32).to_string()
        } else {
            Ipv6Addr::from(address).to_string()
        }
    }

    fn show(self) -> String {
        format!("{}/{}", self.show_address(self.address), self.length)
    }

    /// One more than the last host number, or 0 for 2^128.
    const fn hosts(self) -> u128 {
        let host_bits = self.bits - self.length;
        if host_bits >= 128 { 0 } else { 1 << host_bits }
    }
}

fn prefix(args: &Args<'_>, at: usize) -> Result<Prefix, ArgError> {
    let text = args.string(at)?;
    Prefix::parse(&text).ok_or_else(|| {
        bad(
            at,
            format!("invalid CIDR expression: invalid CIDR address: {text}"),
        )
    })
}

/// A whole number of any size, and whether it is negative.
fn whole(args: &Args<'_>, at: usize) -> Result<(bool, Nat), ArgError> {
    let number = args.number(at)?;
    let magnitude = number
        .integer()
        .ok_or_else(|| bad(at, "a whole number is required"))?;
    Ok((number.is_negative(), magnitude))
}

pub(super) fn cidrhost(args: &Args<'_>) -> Outcome {
    let network = prefix(args, 0)?;
    let (negative, magnitude) = whole(args, 1)?;
    let hosts = network.hosts();
    let refused = || {
        bad(
            1,
            format!(
                "prefix of {} does not accommodate a host numbered {}",
                network.length,
                magnitude.digits()
            ),
        )
    };
    let number = magnitude.to_u128().ok_or_else(refused)?;
    let offset = if negative {
        if hosts != 0 && number > hosts {
            return Err(refused());
        }
        hosts.wrapping_sub(number)
    } else {
        if hosts != 0 && number >= hosts {
            return Err(refused());
        }
        number
    };
    Ok(network.show_address(network.address | offset).into())
}

pub(super) fn cidrnetmask(args: &Args<'_>) -> Outcome {
    let network = prefix(args, 0)?;
    if network.bits != 32 {
        return Err(bad(0, "IPv6 addresses cannot have a netmask"));
    }
    let host_bits = 32 - network.length;
    let mask = if host_bits == 32 {
        0
    } else {
        u32::MAX >> host_bits << host_bits
    };
    Ok(Ipv4Addr::from(mask).to_string().into())
}

/// The network with so many more fixed bits that hold `number`.
fn subnet(network: Prefix, new_bits: u32, number: u128) -> Result<Prefix, String> {
    let length = network.length + new_bits;
    if length > network.bits {
        return Err(format!(
            "not enough remaining address space for a subnet with a prefix of {length} bits after {}",
            network.show()
        ));
    }
    if new_bits < 128 && number >= 1 << new_bits {
        return Err(format!(
            "prefix extension of {new_bits} does not accommodate a subnet numbered {number}"
        ));
    }
    let shift = network.bits - length;
    let address = if shift >= 128 {
        network.address
    } else {
        network.address | number << shift
    };
    Ok(Prefix {
        address,
        length,
        bits: network.bits,
    })
}

fn bits(args: &Args<'_>, at: usize) -> Result<u32, ArgError> {
    u32::try_from(args.int(at)?)
        .ok()
        .filter(|bits| *bits <= 128)
        .ok_or_else(|| bad(at, "must be between 0 and 128"))
}

pub(super) fn cidrsubnet(args: &Args<'_>) -> Outcome {
    let network = prefix(args, 0)?;
    let new_bits = bits(args, 1)?;
    let (negative, magnitude) = whole(args, 2)?;
    let number = magnitude
        .to_u128()
        .ok_or_else(|| bad(2, "number is too large"))?;
    let number = if negative {
        let all = if new_bits >= 128 {
            0
        } else {
            1_u128 << new_bits
        };
        all.wrapping_sub(number)
    } else {
        number
    };
    Ok(subnet(network, new_bits, number)
        .map_err(ArgError::from)?
        .show()
        .into())
}

pub(super) fn cidrsubnets(args: &Args<'_>) -> Outcome {
    let network = prefix(args, 0)?;
    let mut next = network.address;
    let mut last_address = false;
    let mut networks = Vec::new();
    for at in 1..args.len() {
        let new_bits = bits(args, at)?;
        if new_bits == 0 {
            return Err(bad(at, "must extend prefix by at least one bit"));
        }
        let length = network.length + new_bits;
        if length > network.bits {
            return Err(bad(
                at,
                format!(
                    "would extend prefix to {length} bits, which is too long for an address of {} bits",
                    network.bits
                ),
            ));
        }
        let size = Prefix { length, ..network }.hosts();
        // The next multiple of the size.
        let start = next
            .checked_add(size - 1)
            .map_or(u128::MAX, |end| end / size * size);
        let end_of_network = network.address | network.hosts().wrapping_sub(1);
        if last_address || start > end_of_network || end_of_network - start < size - 1 {
            return Err(bad(
                at,
                format!(
                    "not enough remaining address space for a subnet with a prefix of {length} bits after {}",
                    network.show_address(next)
                ),
            ));
        }
        networks.push(Value::from(
            Prefix {
                address: start,
                length,
                bits: network.bits,
            }
            .show(),
        ));
        match start.checked_add(size) {
            Some(address) => next = address,
            None => last_address = true,
        }
    }
    Ok(Value::list(networks))
}
