//! Frames: what travels between two servers, opaque to the transport.
//!
//! ```text
//! 1 message          bytes of a consensus message
//! 2 snapshot chunk   from u64, transfer u64, number u32, last u8, bytes; number 0 holds the message that goes with it
//! 3 snapshot answer  from u64, transfer u64, next number u32, state u8 (0 going on, 1 complete, 2 refused)
//! ```
//!
//! Numbers are big-endian; frame kinds are never reused.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::config::MAX_FRAME_BYTES;
use crate::error::CoreError;

const MESSAGE: u8 = 1;
const CHUNK: u8 = 2;
const ANSWER: u8 = 3;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The sender.
    pub(crate) from: u64,
    /// The sender's number for this stream.
    pub(crate) transfer: u64,
    /// Position in the stream, from 0.
    pub(crate) number: u32,
    /// Whether it is the last one.
    pub(crate) last: bool,
    /// The message (number 0) or bytes of the snapshot file.
    pub(crate) data: Bytes,
}

/// How a transfer stands at its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerState {
    GoingOn,
    Complete,
    Refused,
}

/// An answer to chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who answers.
    pub(crate) from: u64,
    /// The sender's number for the stream.
    pub(crate) transfer: u64,
    /// The number of the chunk that is expected next.
    pub(crate) next: u32,
    pub(crate) state: AnswerState,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Message(Bytes),
    Chunk(Chunk),
    Answer(Answer),
}

pub(crate) fn message(payload: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + payload.len());
    out.put_u8(MESSAGE);
    out.extend_from_slice(payload);
    out.freeze()
}

pub(crate) fn chunk(chunk: &Chunk) -> Bytes {
    let mut out = BytesMut::with_capacity(22 + chunk.data.len());
    out.put_u8(CHUNK);
    out.put_u64(chunk.from);
    out.put_u64(chunk.transfer);
    out.put_u32(chunk.number);
    out.put_u8(u8::from(chunk.last));
    out.extend_from_slice(&chunk.data);
    out.freeze()
}

pub(crate) fn answer(answer: Answer) -> Bytes {
    let mut out = BytesMut::with_capacity(22);
    out.put_u8(ANSWER);
    out.put_u64(answer.from);
    out.put_u64(answer.transfer);
    out.put_u32(answer.next);
    out.put_u8(match answer.state {
        AnswerState::GoingOn => 0,
        AnswerState::Complete => 1,
        AnswerState::Refused => 2,
    });
    out.freeze()
}

pub(crate) fn decode(mut frame: Bytes) -> Result<Frame, CoreError> {
    let bad = |what: &str| CoreError::BadMessage(what.to_owned());
    if frame.len() > MAX_FRAME_BYTES {
        return Err(bad("frame is too large"));
    }
    if frame.is_empty() {
        return Err(bad("frame is empty"));
    }
    match frame.get_u8() {
        MESSAGE => Ok(Frame::Message(frame)),
        CHUNK if frame.len() >= 21 => Ok(Frame::Chunk(Chunk {
            from: frame.get_u64(),
            transfer: frame.get_u64(),
            number: frame.get_u32(),
            last: frame.get_u8() != 0,
            data: frame,
        })),
        ANSWER if frame.len() >= 21 => Ok(Frame::Answer(Answer {
            from: frame.get_u64(),
            transfer: frame.get_u64(),
            next: frame.get_u32(),
            state: match frame.get_u8() {
                0 => AnswerState::GoingOn,
                1 => AnswerState::Complete,
                _ => AnswerState::Refused,
            },
        })),
        CHUNK | ANSWER => Err(bad("frame is cut off")),
        kind => Err(CoreError::BadMessage(format!(
            "frame kind {kind} is unknown; is the peer a newer version?"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back() {
        let data = Bytes::from_static(b"data");
        assert_eq!(
            decode(message(&data)).unwrap(),
            Frame::Message(data.clone())
        );
        let a = Chunk {
            from: 1,
            transfer: 2,
            number: 3,
            last: true,
            data,
        };
        assert_eq!(decode(chunk(&a)).unwrap(), Frame::Chunk(a));
        for state in [
            AnswerState::GoingOn,
            AnswerState::Complete,
            AnswerState::Refused,
        ] {
            let a = Answer {
                from: 1,
                transfer: 2,
                next: 3,
                state,
            };
            assert_eq!(decode(answer(a)).unwrap(), Frame::Answer(a));
        }
    }

    #[test]
    fn bad_frames_are_errors() {
        for bad in [&b""[..], b"\x02short", b"\x03", b"\x09x"] {
            decode(Bytes::copy_from_slice(bad)).unwrap_err();
        }
        decode(vec![1; MAX_FRAME_BYTES + 1].into()).unwrap_err();
    }
}
