//! A small HTTP/1.1 client: one connection for each request, so that a killed agent leaves nothing half open.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// An agent on the loopback that is silent this long does not answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 << 20;

/// One answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Header lines as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of an answer 200 as JSON.
    pub fn json(&self) -> Result<Value> {
        ensure!(
            self.status == 200,
            "status {}: {}",
            self.status,
            self.text().trim()
        );
        serde_json::from_slice(&self.body).context("read the answer as JSON")
    }
}

/// Sends a request and reads the whole answer.
pub fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Result<Response> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(port)?;
    stream.write_all(head.as_bytes()).context("send head")?;
    // An agent that refuses a body answers before it has read all of it.
    let sent = stream.write_all(body);
    match read(&mut stream) {
        Ok(response) => Ok(response),
        Err(error) => {
            sent.context("send body")?;
            Err(error)
        }
    }
}

/// Sends bytes that need not be a request, ends the sending side, and reads what comes back; empty when the other
/// side just closes.
pub fn raw(port: u16, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.write_all(bytes).context("send")?;
    stream.shutdown(Shutdown::Write).context("end sending")?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            Err(error).context("read")
        }
        _ => Ok(answer),
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).context("connect")?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .context("set timeout")?;
    stream
        .set_write_timeout(Some(TIMEOUT))
        .context("set timeout")?;
    Ok(stream)
}

fn read(stream: &mut TcpStream) -> Result<Response> {
    let mut all = Vec::new();
    let end = stream.take(MAX_ANSWER).read_to_end(&mut all);
    let Some(split) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
        end.context("read")?;
        bail!("connection ended within the head");
    };
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no status in {head:?}"))?;
    let rest = &all[split + 4..];
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok());
    let body = match length {
        Some(length) => rest
            .get(..length)
            .context("connection ended within the body")?
            .to_vec(),
        None if lower.contains("transfer-encoding: chunked") => unchunk(rest)?,
        None => rest.to_vec(),
    };
    Ok(Response { status, head, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .context("connection ended between chunks")?;
        let size = std::str::from_utf8(&rest[..line]).context("chunk size")?;
        let size = usize::from_str_radix(size.trim(), 16).context("chunk size")?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest
            .get(..size)
            .context("connection ended within a chunk")?;
        body.extend_from_slice(chunk);
        rest = rest
            .get(size + 2..)
            .context("connection ended after a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_join_and_an_early_end_is_an_error() {
        let whole = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(unchunk(whole).expect("whole"), b"abcde");
        for end in 0..whole.len() - 4 {
            assert!(unchunk(&whole[..end]).is_err(), "{end}");
        }
    }
}
