//! A small HTTP/1.1 client for one connection: GET, with no buffer held while it waits.
//!
//! hyper keeps read and write buffers of eight kibibytes and more with each connection; thousands
//! of parked queries would hold those for nothing. This speaks only to our own agent, in memory.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bufconn::{BufferedConn, Dialer};

/// Longest head of a response in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Longest body of a response in bytes.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;
/// Most header lines of a response.
const MAX_HEADERS: usize = 64;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("the agent cannot be reached")]
    Io(#[from] io::Error),
    #[error("the agent's answer is not HTTP: {0}")]
    Malformed(&'static str),
    #[error("the agent's answer is longer than {limit} bytes")]
    TooLong { limit: usize },
}

/// What the agent answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// `X-Nomad-Index`, if there is one.
    pub(super) index: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// A client that keeps one connection.
pub(super) struct HttpClient {
    dialer: Dialer,
    conn: Option<BufferedConn>,
}

impl HttpClient {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, conn: None }
    }

    /// Sends a GET and waits for the answer. If the call is dropped the connection is too.
    pub(super) async fn get(&mut self, target: &str, token: &str) -> Result<Response, HttpError> {
        let kept = self.conn.take();
        let was_kept = kept.is_some();
        let conn = match kept {
            Some(conn) => conn,
            None => self.dialer.connect().await?,
        };
        match self.exchange(conn, target, token).await {
            // A connection that was kept may have been closed meanwhile: once more on a new one.
            Err(HttpError::Io(_)) if was_kept => {
                let conn = self.dialer.connect().await?;
                self.exchange(conn, target, token).await
            }
            other => other,
        }
    }

    async fn exchange(
        &mut self,
        mut conn: BufferedConn,
        target: &str,
        token: &str,
    ) -> Result<Response, HttpError> {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        if !token.is_empty() {
            push!(request, "X-Nomad-Token: {token}\r\n");
        }
        request.push_str("\r\n");
        conn.write_all(request.as_bytes()).await?;
        drop(request);
        let mut reader = Reader {
            conn: &mut conn,
            bytes: Vec::new(),
        };
        let (response, keep) = reader.response().await?;
        if keep {
            self.conn = Some(conn);
        }
        Ok(response)
    }
}

struct Reader<'c> {
    conn: &'c mut BufferedConn,
    bytes: Vec<u8>,
}

struct Head {
    status: u16,
    index: Option<u64>,
    length: Option<usize>,
    chunked: bool,
    keep: bool,
}

impl Reader<'_> {
    /// Takes everything that waits; the answer is usually there as a whole.
    async fn more(&mut self) -> Result<(), HttpError> {
        self.conn.readable().await;
        let waiting = self.conn.waiting();
        self.bytes.reserve_exact(waiting.max(1));
        if self.conn.read_buf(&mut self.bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    async fn response(&mut self) -> Result<(Response, bool), HttpError> {
        let (head, at) = loop {
            self.more().await?;
            if let Some(found) = parse_head(&self.bytes)? {
                // An interim answer, such as 100, says nothing.
                if found.0.status >= 200 {
                    break found;
                }
                self.bytes.drain(..found.1);
            }
            if self.bytes.len() > MAX_HEAD {
                return Err(HttpError::TooLong { limit: MAX_HEAD });
            }
        };
        self.bytes.drain(..at);
        let empty = head.status == 204 || head.status == 304;
        let body = if empty {
            Vec::new()
        } else if head.chunked {
            self.chunks().await?
        } else {
            let length = head.length.ok_or(HttpError::Malformed("no length"))?;
            self.exactly(length).await?
        };
        let response = Response {
            status: head.status,
            index: head.index,
            body,
        };
        // Bytes behind the answer were not asked for: such a connection is not kept.
        Ok((response, head.keep && self.bytes.is_empty()))
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        if length > MAX_BODY {
            return Err(HttpError::TooLong { limit: MAX_BODY });
        }
        while self.bytes.len() < length {
            self.more().await?;
        }
        let rest = self.bytes.split_off(length);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.bytes) {
                Ok(httparse::Status::Complete((used, size))) => {
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    if body.len().saturating_add(size) > MAX_BODY {
                        return Err(HttpError::TooLong { limit: MAX_BODY });
                    }
                    self.bytes.drain(..used);
                    let chunk = self.exactly(size + 2).await?;
                    if !chunk.ends_with(b"\r\n") {
                        return Err(HttpError::Malformed("a chunk does not end"));
                    }
                    if size == 0 {
                        return Ok(body);
                    }
                    body.extend_from_slice(&chunk[..size]);
                }
                Ok(httparse::Status::Partial) => self.more().await?,
                Err(_) => return Err(HttpError::Malformed("a chunk has no size")),
            }
        }
    }
}

/// The head of a response and where it ends, if it is all there.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(HttpError::Malformed("its head")),
    };
    let mut head = Head {
        status: parsed.code.unwrap_or_default(),
        index: None,
        length: None,
        chunked: false,
        keep: parsed.version == Some(1),
    };
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value
                .parse()
                .map_err(|_| HttpError::Malformed("its length"))?;
            head.length = Some(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep &= !value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("x-nomad-index") {
            head.index = value.parse().ok();
        }
    }
    Ok(Some((head, end)))
}

#[cfg(test)]
mod tests;
