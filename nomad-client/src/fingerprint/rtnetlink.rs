//! Addresses of the host's interfaces, asked of the kernel by one netlink request.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

use super::network::InterfaceAddress;

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const HEADER: usize = 16;
/// Length of the address message behind the header.
const ADDRESS_HEADER: usize = 8;
/// Most bytes that the kernel puts into one answer.
const BUFFER: usize = 64 * 1024;
/// Most answers that are read.
const MAX_ANSWERS: usize = 1000;

/// All addresses with the names of their interfaces, in the order of the interfaces.
pub(super) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut found = Vec::new();
    for answer in dump()? {
        parse(&answer, &mut found);
    }
    // IPv4 comes first from the kernel; within an interface that order stays.
    found.sort_by_key(|(index, _)| *index);
    Ok(found
        .into_iter()
        .filter_map(|(index, ip)| {
            let interface = interface_name(index)?;
            Some(InterfaceAddress { interface, ip })
        })
        .collect())
}

/// The raw answers to "all addresses".
fn dump() -> io::Result<Vec<Vec<u8>>> {
    // Protocol 0 of this family is routing.
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let mut request = Vec::with_capacity(HEADER + ADDRESS_HEADER);
    request.extend(((HEADER + ADDRESS_HEADER) as u32).to_ne_bytes());
    request.extend(RTM_GETADDR.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend(1_u32.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request.extend([0_u8; ADDRESS_HEADER]);
    rustix::net::sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answers = Vec::new();
    let mut buffer = vec![0_u8; BUFFER];
    for _ in 0..MAX_ANSWERS {
        let (count, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let answer = &buffer[..count];
        let last = messages(answer).any(|(kind, _)| kind == NLMSG_DONE || kind == NLMSG_ERROR);
        answers.push(answer.to_vec());
        if last {
            return Ok(answers);
        }
    }
    Err(io::Error::other("the kernel's answer has no end"))
}

/// The messages of an answer: kind and body.
fn messages(mut answer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(answer, 0)? as usize;
        let kind = u16_at(answer, 4)?;
        if length < HEADER || length > answer.len() {
            return None;
        }
        let body = &answer[HEADER..length];
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Index of the interface and address of every address message.
fn parse(answer: &[u8], found: &mut Vec<(u32, IpAddr)>) {
    for (kind, body) in messages(answer) {
        if kind != RTM_NEWADDR {
            continue;
        }
        let (Some(index), Some(mut attributes)) = (u32_at(body, 4), body.get(ADDRESS_HEADER..))
        else {
            continue;
        };
        let mut local = None;
        let mut peer = None;
        while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
            let length = usize::from(length);
            if length < 4 || length > attributes.len() {
                break;
            }
            let value = &attributes[4..length];
            match kind {
                IFA_LOCAL => local = ip(value),
                IFA_ADDRESS => peer = ip(value),
                _ => {}
            }
            attributes = attributes
                .get(length.next_multiple_of(4)..)
                .unwrap_or_default();
        }
        // On point-to-point links the address is the other side's.
        if let Some(address) = local.or(peer) {
            found.push((index, address));
        }
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

fn interface_name(index: u32) -> Option<String> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::index_to_name(&socket, index).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found() {
        let all = addresses().unwrap();
        let loopback = all.iter().find(|address| address.ip.is_loopback());
        assert_eq!(
            loopback.map(|address| address.interface.as_str()),
            Some("lo")
        );
    }

    #[test]
    fn cut_answers_are_survived() {
        for answer in dump().unwrap() {
            for cut in 0..answer.len() {
                parse(&answer[..cut], &mut Vec::new());
            }
        }
    }
}
