//! Answers of every shape, whole and byte by byte.

use proptest::prelude::*;

use super::*;
use crate::bufconn::{BufferPool, ConnConfig, Listener, in_memory};

fn agent() -> (Listener, HttpClient) {
    let (listener, dialer) = in_memory(ConnConfig::default(), BufferPool::default());
    (listener, HttpClient::new(dialer))
}

/// Answers one request on a connection with these pieces.
async fn answer(conn: &mut BufferedConn, pieces: &[&[u8]]) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(conn.read_buf(&mut request).await.expect("a request") > 0);
    }
    for piece in pieces {
        conn.write_all(piece).await.expect("the client reads");
        tokio::task::yield_now().await;
    }
    String::from_utf8(request).expect("requests are text")
}

#[tokio::test]
async fn a_connection_is_kept_and_made_anew() {
    let (mut listener, mut client) = agent();
    let served = tokio::spawn(async move {
        let mut conn = listener.accept().await.unwrap();
        let ok: &[u8] = b"HTTP/1.1 200 OK\r\nX-Nomad-Index: 7\r\nContent-Length: 2\r\n\r\nhi";
        let first = answer(&mut conn, &[ok]).await;
        answer(
            &mut conn,
            &[b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
        )
        .await;
        drop(conn);
        let mut conn = listener.accept().await.unwrap();
        answer(&mut conn, &[ok]).await;
        first
    });
    let response = client.get("/v1/x?a=b", "secret").await.unwrap();
    assert_eq!(
        (response.status, response.index, response.body),
        (200, Some(7), b"hi".to_vec())
    );
    assert_eq!(client.get("/v1/x", "").await.unwrap().status, 404);
    assert_eq!(client.get("/v1/x", "").await.unwrap().status, 200);
    let request = served.await.unwrap();
    assert!(
        request.starts_with("GET /v1/x?a=b HTTP/1.1\r\n")
            && request.contains("X-Nomad-Token: secret\r\n")
    );
}

#[tokio::test]
async fn malformed_and_endless_answers_are_errors() {
    for bad in [
        "SMTP ready\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\nno length".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            MAX_BODY + 1
        ),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            MAX_BODY + 1
        ),
        format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD)),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".to_owned(),
    ] {
        let (mut listener, mut client) = agent();
        let text = bad.clone();
        let served = tokio::spawn(async move {
            let mut conn = listener.accept().await.unwrap();
            answer(&mut conn, &[text.as_bytes()]).await;
        });
        assert!(
            client.get("/", "").await.is_err(),
            "{}",
            &bad[..bad.len().min(60)]
        );
        served.await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn answers_in_any_pieces(body in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1usize..50, cut in 1usize..40, chunked: bool) {
        let mut whole = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Nomad-Index: 9\r\n".to_vec();
        if chunked {
            whole.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(chunk) {
                whole.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                whole.extend_from_slice(part);
                whole.extend_from_slice(b"\r\n");
            }
            whole.extend_from_slice(b"0\r\n\r\n");
        } else {
            whole.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            whole.extend_from_slice(&body);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let got = runtime.block_on(async {
            let (mut listener, mut client) = agent();
            let served = tokio::spawn(async move {
                let mut conn = listener.accept().await.unwrap();
                let pieces: Vec<&[u8]> = whole.chunks(cut).collect();
                answer(&mut conn, &pieces).await;
                conn
            });
            let response = client.get("/", "").await;
            (response, served.await.unwrap())
        });
        let response = got.0.unwrap();
        prop_assert_eq!(response.index, Some(9));
        prop_assert_eq!(response.body, body);
    }
}
