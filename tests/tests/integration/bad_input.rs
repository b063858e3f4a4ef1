//! What is wrong gets a clear answer, and changes nothing.

use crate::binary;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use tests::{Agent, http, job, process};

#[test]
fn bad_requests_change_nothing() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    agent.register(&job::batch("good", 1, "true"));
    agent.wait_allocs("good", "complete", 1);
    let jobs = || agent.json("/v1/jobs");
    let before = jobs();
    let index = || agent.json("/v1/evaluations").as_array().map(Vec::len);
    let evaluations = index();

    let mut wrong_type = job::batch("bad", 1, "true");
    wrong_type["Job"]["TaskGroups"][0]["Count"] = json!("many");
    let mut no_driver = job::batch("bad", 1, "true");
    no_driver["Job"]["TaskGroups"][0]["Tasks"][0]["Driver"] = json!("");
    let mut no_groups = job::batch("bad", 1, "true");
    no_groups["Job"]["TaskGroups"] = json!([]);
    let mut kind = job::batch("bad", 1, "true");
    kind["Job"]["Type"] = json!("cron");
    let mut twice = job::batch("bad", 1, "true");
    let task = twice["Job"]["TaskGroups"][0]["Tasks"][0].clone();
    twice["Job"]["TaskGroups"][0]["Tasks"]
        .as_array_mut()
        .expect("tasks")
        .push(task);
    let mut negative = job::batch("bad", 1, "true");
    negative["Job"]["TaskGroups"][0]["Count"] = json!(-1);
    let cases: [(&str, &str, &[u8], &[u16]); 15] = [
        ("PUT", "/v1/jobs", b"", &[400]),
        ("PUT", "/v1/jobs", b"{", &[400]),
        (
            "PUT",
            "/v1/jobs",
            b"{\"Job\": {\"ID\": \"bad\", \"TaskGr",
            &[400],
        ),
        ("PUT", "/v1/jobs", b"[]", &[400]),
        ("PUT", "/v1/jobs", b"\xff\xfe", &[400]),
        ("PUT", "/v1/jobs", b"{\"Job\": null}", &[400]),
        ("PUT", "/v1/jobs", text(&wrong_type), &[400]),
        ("PUT", "/v1/jobs", text(&no_driver), &[400, 500]),
        ("PUT", "/v1/jobs", text(&no_groups), &[400, 500]),
        ("PUT", "/v1/jobs", text(&kind), &[400, 500]),
        ("PUT", "/v1/jobs", text(&twice), &[400, 500]),
        ("PUT", "/v1/jobs", text(&negative), &[400, 500]),
        ("GET", "/v1/no-such-route", b"", &[404]),
        ("GET", "/nothing", b"", &[404]),
        (
            "PUT",
            "/v1/jobs/parse",
            b"{\"JobHCL\": \"job \\\"x\\\" {\"}",
            &[400],
        ),
    ];
    for (method, path, body, statuses) in cases {
        let response = http::request(agent.http_port, method, path, body).expect("an answer");
        let shown = String::from_utf8_lossy(body).into_owned();
        assert!(
            statuses.contains(&response.status),
            "{method} {path} {shown}: {} {}",
            response.status,
            response.text()
        );
        // A path that is no route gets an empty 404, as the reference gives it.
        let reason = response.status == 404 || !response.text().trim().is_empty();
        assert!(reason, "{method} {path} {shown}: no reason");
    }
    for path in [
        "/v1/job/absent",
        "/v1/allocation/8ba85cef-0000-4000-8000-000000000000",
    ] {
        assert_eq!(agent.get(path).expect("an answer").status, 404, "{path}");
    }
    assert_eq!(jobs(), before);
    assert_eq!(index(), evaluations);
}

/// Leaks the text of a case: it must live as long as the table.
fn text(value: &Value) -> &'static [u8] {
    Box::leak(value.to_string().into_boxed_str()).as_bytes()
}

#[test]
fn broken_requests_do_not_disturb_the_listener() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    let broken: [&[u8]; 6] = [
        b"",
        b"GET /v1/jo",
        b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{\"Job\": {\"ID\": \"half\"",
        b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Jo",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n",
    ];
    for bytes in broken {
        let answer = http::raw(agent.http_port, bytes).expect("the connection ends");
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{bytes:?}: {answer}");
    }
    assert_eq!(agent.json("/v1/jobs"), json!([]));
}

#[test]
fn a_body_over_the_limit_is_refused_unread() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    // A body of 1 GiB is announced; only its head is ever sent.
    let head = b"PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1073741824\r\n\r\n{";
    let answer = http::raw(agent.http_port, head).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    // One that is really sent is cut off too, however it is announced, and is never held in memory as a whole.
    let length = format!("Content-Length: {}", 1_u64 << 30);
    for framing in [length.as_str(), "Transfer-Encoding: chunked"] {
        let answer = pour(agent.http_port, framing, 1 << 30);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
            "{framing}: {answer}"
        );
    }
    let peak = process::peak_memory_kib(agent.pid());
    assert!(peak < 512 << 10, "{peak} KiB");
    assert_eq!(agent.json("/v1/jobs"), json!([]));
}

/// Sends a request whose job has a name of so many bytes, until it is told to stop; gives the answer, which may be lost
/// when the connection is closed on us.
fn pour(port: u16, framing: &str, length: u64) -> String {
    const PIECE: usize = 1 << 20;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
    let head =
        format!("PUT /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("send head");
    let chunked = framing.contains("chunked");
    let mut piece = vec![b'a'; PIECE];
    if chunked {
        let line = format!("{PIECE:x}\r\n");
        piece.splice(0..0, line.bytes());
        piece.extend(b"\r\n");
    }
    for _ in 0..length / PIECE as u64 {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    // An agent that closes while we still send resets the connection; then the answer may be lost on the way.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn small_mistakes_of_clients_are_told_as_such() {
    let binary = binary!();
    let agent = Agent::start(&binary);
    agent.register(&job::service("up", 1, "exec sleep 600"));
    let alloc = agent.wait_allocs("up", "running", 1).remove(0);
    let id = alloc["ID"].as_str().expect("id");
    let path = format!("/v1/client/allocation/{id}/signal");
    let body = json!({"Signal": "SIGNONE", "Task": ""});
    let answer = agent.put(&path, &body).expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("SIGNONE"), "{}", answer.text());
    for priority in ["-1", "101", "high"] {
        let path = format!("/v1/job/up?eval_priority={priority}");
        let answer = http::request(agent.http_port, "DELETE", &path, b"").expect("an answer");
        assert_eq!(answer.status, 400, "{priority}: {}", answer.text());
    }
    assert_eq!(agent.json("/v1/job/up")["Status"], "running");
    // Clients that have no priority to give send 0.
    let stopped = agent.cli(&["job", "stop", "-purge", "-detach", "up"]);
    assert!(stopped.status.success(), "{stopped:?}");
    agent.register(&job::batch("down", 1, "true"));
    agent.stop_job("down", "?purge=true&eval_priority=0");
}
