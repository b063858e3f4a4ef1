//! A small HTTP/1.1 client on one kept-alive connection, for measuring an agent from outside.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest body that is read.
const MAX_BODY: usize = 64 << 20;
/// Longest header line and most header lines that are read.
const MAX_HEADER_LINE: u64 = 64 << 10;
const MAX_HEADERS: usize = 200;
/// Blocking queries wait up to a minute; an agent that is silent longer is not coming back.
const READ_TIMEOUT: Duration = Duration::from_secs(90);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that is opened when needed and kept.
pub(crate) struct Client {
    addr: SocketAddr,
    conn: Option<BufReader<TcpStream>>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// `X-Nomad-Index`, the index that a blocking query waits on.
    pub(crate) index: u64,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON, or an error that shows what came instead.
    pub(crate) fn json(&self) -> Result<Value> {
        if self.status != 200 {
            bail!(
                "status {}: {}",
                self.status,
                String::from_utf8_lossy(&self.body).trim()
            );
        }
        serde_json::from_slice(&self.body).context("read the answer as JSON")
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, conn: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, None)
    }

    /// Sends a request. A kept connection that the server has closed meanwhile is opened again, once.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let kept = self.conn.is_some();
        match self.attempt(method, path, &body) {
            Ok(response) => Ok(response),
            Err(_) if kept => {
                self.conn = None;
                self.attempt(method, path, &body)
            }
            Err(err) => Err(err),
        }
        .with_context(|| format!("{method} http://{}{path}", self.addr))
    }

    fn attempt(&mut self, method: &str, path: &str, body: &str) -> Result<Response> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let stream =
                    TcpStream::connect_timeout(&self.addr, CONNECT_TIMEOUT).context("connect")?;
                stream.set_nodelay(true).context("set TCP_NODELAY")?;
                stream
                    .set_read_timeout(Some(READ_TIMEOUT))
                    .context("set a read timeout")?;
                BufReader::new(stream)
            }
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.addr,
            body.len()
        );
        conn.get_mut()
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .context("send the request")?;
        let (response, keep) = read_response(&mut conn)?;
        if keep {
            self.conn = Some(conn);
        }
        Ok(response)
    }
}

/// Reads one answer; the flag says whether the connection may be used again.
fn read_response(conn: &mut impl BufRead) -> Result<(Response, bool)> {
    let status_line = header_line(conn)?;
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let Some(status) = status else {
        bail!("not an HTTP answer: {status_line:?}")
    };
    let (mut length, mut chunked, mut keep, mut index) = (None, false, true, 0);
    for _ in 0..MAX_HEADERS {
        let line = header_line(conn)?;
        if line.is_empty() {
            let body = if chunked {
                read_chunks(conn)?
            } else if let Some(length) = length {
                read_exactly(conn, length)?
            } else {
                keep = false;
                let mut body = Vec::new();
                conn.take(MAX_BODY as u64)
                    .read_to_end(&mut body)
                    .context("read the body")?;
                body
            };
            return Ok((
                Response {
                    status,
                    index,
                    body,
                },
                keep,
            ));
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = Some(value.parse::<usize>().context("read Content-Length")?)
            }
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            "x-nomad-index" => index = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    bail!("more than {MAX_HEADERS} header lines")
}

fn header_line(conn: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    conn.take(MAX_HEADER_LINE)
        .read_until(b'\n', &mut line)
        .context("read the answer")?;
    if line.pop() != Some(b'\n') {
        bail!("the connection ended within the header");
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn read_exactly(conn: &mut impl BufRead, length: usize) -> Result<Vec<u8>> {
    if length > MAX_BODY {
        bail!("a body of {length} bytes is over the limit of {MAX_BODY}");
    }
    let mut body = vec![0; length];
    conn.read_exact(&mut body).context("read the body")?;
    Ok(body)
}

fn read_chunks(conn: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = header_line(conn)?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size =
            usize::from_str_radix(size, 16).with_context(|| format!("read chunk size {line:?}"))?;
        if size == 0 {
            while !header_line(conn)?.is_empty() {}
            return Ok(body);
        }
        if body.len() + size > MAX_BODY {
            bail!("a body over the limit of {MAX_BODY} bytes");
        }
        body.extend(read_exactly(conn, size)?);
        header_line(conn)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn parse(text: &str) -> Result<(Response, bool)> {
        read_response(&mut text.as_bytes())
    }

    #[test]
    fn bodies_by_length_and_by_chunks() {
        let (r, keep) =
            parse("HTTP/1.1 200 OK\r\nX-Nomad-Index: 7\r\nContent-Length: 2\r\n\r\n{}rest")
                .expect("fine");
        assert_eq!(
            (r.status, r.index, r.body.as_slice(), keep),
            (200, 7, &b"{}"[..], true)
        );
        let chunks =
            "HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let (r, _) = parse(chunks).expect("fine");
        assert_eq!((r.status, r.body.as_slice()), (404, &b"abcd"[..]));
        assert!(r.json().is_err());
    }

    #[test]
    fn broken_answers_are_errors() {
        for text in [
            "",
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nA: b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").is_err());
    }

    #[test]
    fn a_closed_connection_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let addr = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut conn = BufReader::new(stream.expect("a client connects"));
                while !header_line(&mut conn).expect("a header").is_empty() {}
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
                conn.get_mut().write_all(answer).expect("the client reads");
            }
        });
        let mut client = Client::new(addr);
        for _ in 0..2 {
            assert_eq!(client.get("/").expect("an answer").json().expect("json"), 1);
        }
        server.join().expect("the server ends");
    }
}
