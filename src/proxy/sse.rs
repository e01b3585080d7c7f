//! Server-sent events, split as they arrive, byte for byte.
//!
//! The events' raw bytes, one after the other, are exactly the bytes that came in: what goes on to a client
//! is what the provider sent. Lines end in LF, CRLF or CR (WHATWG HTML 9.2.6). An event goes out as soon as
//! its blank line is there: where that line ends in a CR at the end of a buffer, a LF that follows becomes
//! the start of the next event, so that nothing ever waits for a byte that may not come.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bytes that an event may have before its end has arrived.
pub const MAX_UNFINISHED: usize = 1024 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An event has grown beyond [`MAX_UNFINISHED`] and is not at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_UNFINISHED} bytes")]
pub struct EventTooLong;

/// One event, or what stands between events: comments and blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// All its bytes, the blank line that ends it included.
    pub raw: Bytes,
    /// Its `data` lines joined by LF; `None` if it has none, and so is no event to a client.
    pub data: Option<Bytes>,
}

/// Splits a stream of bytes into events. Push a buffer, then take events until there are no more.
#[derive(Debug, Default)]
pub struct SseSplitter {
    /// The start of an unfinished event, from earlier buffers.
    started: BytesMut,
    /// Not looked at yet.
    input: Bytes,
    /// The current line has bytes.
    in_line: bool,
    /// The last byte looked at was a CR; a LF would belong to it.
    after_cr: bool,
    /// An event has gone out, so that a byte order mark is no longer one.
    begun: bool,
}

impl SseSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            self.input = [self.input.as_ref(), bytes.as_ref()].concat().into();
        }
    }

    /// The next event that is complete. Zero-copy where it lies within one buffer.
    ///
    /// # Errors
    /// [`EventTooLong`]; the stream is then of no more use.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, EventTooLong> {
        if let Some(end) = self.end_of_event() {
            let last = self.input.split_to(end);
            if self.started.is_empty() {
                return Ok(Some(self.event(last)));
            }
            self.started.extend_from_slice(&last);
            let whole = self.started.split().freeze();
            return Ok(Some(self.event(whole)));
        }
        self.started.extend_from_slice(&std::mem::take(&mut self.input));
        if self.started.len() > MAX_UNFINISHED { Err(EventTooLong) } else { Ok(None) }
    }

    /// What is left of an event whose end never came.
    #[must_use]
    pub fn finish(mut self) -> Option<SseEvent> {
        self.started.extend_from_slice(&self.input);
        let left = self.started.split().freeze();
        (!left.is_empty()).then(|| self.event(left))
    }

    /// How many bytes have come in that no event has gone out with.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.started.len().saturating_add(self.input.len())
    }

    fn event(&mut self, raw: Bytes) -> SseEvent {
        let at_start = !std::mem::replace(&mut self.begun, true);
        let mark = if at_start && raw.starts_with(BOM) { BOM.len() } else { 0 };
        let data = data(&raw, mark);
        SseEvent { raw, data }
    }

    /// Looks at the input up to the end of a blank line; at all of it if there is none.
    fn end_of_event(&mut self) -> Option<usize> {
        let mut at = 0_usize;
        loop {
            let rest = self.input.get(at..).filter(|rest| !rest.is_empty())?;
            if std::mem::take(&mut self.after_cr) && rest.starts_with(b"\n") {
                at = at.saturating_add(1);
                continue;
            }
            let Some(length) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.in_line = true;
                return None;
            };
            let blank = length == 0 && !self.in_line;
            self.in_line = false;
            at = at.saturating_add(length).saturating_add(1);
            if rest.get(length) == Some(&b'\r') {
                match self.input.get(at) {
                    Some(b'\n') => at = at.saturating_add(1),
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(at);
            }
        }
    }
}

/// An event that carries this payload.
#[must_use]
pub fn event(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len().saturating_add(8));
    for line in lines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data.get(line).unwrap_or_default());
        out.push(b'\n');
    }
    out.push(b'\n');
    Bytes::from(out)
}

/// Whether there is nothing in it but comments and blank lines.
#[must_use]
pub fn is_comment(raw: &[u8]) -> bool {
    lines(raw).all(|line| matches!(raw.get(line), None | Some([] | [b':', ..])))
}

fn data(raw: &Bytes, mark: usize) -> Option<Bytes> {
    let mut values = lines(raw).filter_map(|line| {
        let rest = raw.get(line.start.max(mark)..line.end)?.strip_prefix(b"data")?;
        let value = match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => rest,
            _ => return None,
        };
        Some(line.end.saturating_sub(value.len())..line.end)
    });
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(raw.slice(first)) };
    let mut joined = raw.get(first)?.to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.push(b'\n');
        joined.extend_from_slice(raw.get(value)?);
    }
    Some(Bytes::from(joined))
}

/// The lines of a text without their ends; a CRLF is one end.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0_usize;
    std::iter::from_fn(move || {
        let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let line = from..from.saturating_add(length);
        let end = if rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n")) { 2 } else { 1 };
        from = line.end.saturating_add(end);
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(buffers: &[&[u8]]) -> (Vec<SseEvent>, Option<SseEvent>) {
        let mut splitter = SseSplitter::new();
        let mut events = Vec::new();
        for buffer in buffers {
            splitter.push(Bytes::copy_from_slice(buffer));
            while let Some(event) = splitter.next_event().unwrap_or_else(|error| unreachable!("{error}")) {
                events.push(event);
            }
        }
        (events, splitter.finish())
    }

    fn payloads(buffers: &[&[u8]]) -> Vec<String> {
        let (events, left) = split(buffers);
        let all = events.into_iter().chain(left);
        all.filter_map(|event| event.data).map(|data| String::from_utf8_lossy(&data).into_owned()).collect()
    }

    #[test]
    fn an_openai_stream_becomes_its_payloads() {
        let stream = b"data: {\"choices\":[]}\n\n: keep-alive\n\ndata: [DONE]\n\n";
        let (events, left) = split(&[stream]);
        assert_eq!(events.len(), 3);
        assert_eq!(events.get(1).map(|event| event.data.clone()), Some(None));
        assert_eq!(payloads(&[stream]), [r#"{"choices":[]}"#, "[DONE]"]);
        assert_eq!(left, None);
    }

    #[test]
    fn all_three_line_ends_are_line_ends() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!(
                "event: x{end}data: a{end}data:b{end}{end}data{end}{end}id: 7{end}data:  c{end}{end}"
            );
            assert_eq!(payloads(&[stream.as_bytes()]), ["a\nb", "", " c"], "{end:?}");
        }
    }

    #[test]
    fn an_event_goes_out_before_the_line_feed_that_may_follow_its_last_cr() {
        let mut splitter = SseSplitter::new();
        splitter.push(Bytes::from_static(b"data: a\r\n\r"));
        let first = splitter.next_event().ok().flatten();
        assert_eq!(first.and_then(|event| event.data), Some(Bytes::from_static(b"a")));
        splitter.push(Bytes::from_static(b"\ndata: b\r\n\r\n"));
        let second = splitter.next_event().ok().flatten();
        assert_eq!(second.as_ref().map(|event| event.raw.as_ref()), Some(&b"\ndata: b\r\n\r\n"[..]));
        assert_eq!(second.and_then(|event| event.data), Some(Bytes::from_static(b"b")));
        assert_eq!(splitter.next_event(), Ok(None));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn a_byte_order_mark_counts_at_the_start_only() {
        assert_eq!(
            payloads(&[b"\xEF\xBB", b"\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\ndata: c\n\n"]),
            ["a", "c"]
        );
    }

    #[test]
    fn fields_with_other_names_carry_no_data() {
        assert_eq!(payloads(&[b"datas: x\ndat: y\n data: z\nretry: 5\n:data: c\n\n"]), [""; 0]);
    }

    #[test]
    fn an_event_within_one_buffer_is_not_copied() {
        let buffer = Bytes::from_static(b"data: one\n\ndata: two\n\n");
        let mut splitter = SseSplitter::new();
        splitter.push(buffer.clone());
        let event = splitter.next_event().ok().flatten();
        assert_eq!(event.map(|event| event.raw.as_ptr()), Some(buffer.as_ptr()));
    }

    #[test]
    fn what_has_no_end_is_left_over_with_its_data() {
        let (events, left) = split(&[b"data: a\n\nda", b"ta: b\n"]);
        assert_eq!(events.len(), 1);
        assert_eq!(left.and_then(|event| event.data), Some(Bytes::from_static(b"b")));
    }

    #[test]
    fn an_event_without_an_end_is_an_error_beyond_the_limit() {
        let mut splitter = SseSplitter::new();
        let buffer = Bytes::from(vec![b'x'; MAX_UNFINISHED / 2]);
        for expected in [Ok(None), Ok(None), Err(EventTooLong)] {
            splitter.push(buffer.clone());
            assert_eq!(splitter.next_event(), expected);
            if expected.is_ok() {
                splitter.push(Bytes::new());
            }
        }
    }

    #[test]
    fn a_payload_of_several_lines_becomes_an_event_of_several_data_lines() {
        assert_eq!(event(b"{\"a\":\n1}"), Bytes::from_static(b"data: {\"a\":\ndata: 1}\n\n"));
        assert_eq!(payloads(&[&event(b"{\"a\":\n1}")]), ["{\"a\":\n1}"]);
    }

    /// The standard's algorithm, on the whole text at once.
    fn naive(stream: &[u8]) -> Vec<Vec<u8>> {
        let text = stream.strip_prefix(BOM).unwrap_or(stream).to_vec();
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n").replace('\r', "\n");
        let mut events = Vec::new();
        for block in text.split("\n\n") {
            let lines = block.split('\n').filter_map(|line| match line.split_once(':') {
                Some(("data", value)) => Some(value.strip_prefix(' ').unwrap_or(value)),
                None if line == "data" => Some(""),
                _ => None,
            });
            let lines: Vec<_> = lines.collect();
            if !lines.is_empty() {
                events.push(lines.join("\n").into_bytes());
            }
        }
        events
    }

    proptest! {
        #[test]
        fn raw_events_one_after_the_other_are_the_stream_and_payloads_do_not_depend_on_the_cuts(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["data: a", "data:b", "data", ": c", "event: d", "x", "\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", "é", " "]),
                0..40,
            ),
            bom in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut stream = if bom { BOM.to_vec() } else { Vec::new() };
            stream.extend(pieces.concat().into_bytes());
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.sort_unstable();
            let mut buffers = Vec::new();
            let (mut rest, mut from) = (stream.as_slice(), 0);
            for place in places {
                let (buffer, behind) = rest.split_at(place - from);
                buffers.push(buffer);
                (rest, from) = (behind, place);
            }
            buffers.push(rest);
            let (events, left) = split(&buffers);
            let raw: Vec<u8> = events.iter().chain(&left).flat_map(|event| event.raw.to_vec()).collect();
            prop_assert_eq!(&raw, &stream);
            let data: Vec<_> = events.iter().chain(&left).filter_map(|event| event.data.as_ref()).map(|data| data.to_vec()).collect();
            prop_assert_eq!(data, naive(&stream));
        }
    }
}
