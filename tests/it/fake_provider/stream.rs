//! Answers as server-sent events, chunk for chunk as OpenAI sends them: role, content, finish reason, usage
//! if asked for, `[DONE]`. Each event is one piece.

use bytes::Bytes;

use super::answer::{Piece, Response, error_json, finish_reason, quoted};
use super::behaviour::{Behaviour, Report, Shape};
use super::request::ChatRequest;
use super::work::Work;

/// The JSON of one event and the tokens generated for it.
struct Event {
    json: String,
    output: u64,
}

/// A streamed answer.
pub(super) fn response(index: u64, behaviour: &Behaviour, request: &ChatRequest, work: &Work) -> Response {
    let mut writer = Writer { index, behaviour, request, work, generated: 0 };
    let mut events = writer.content();
    events.extend(writer.last_usage());
    let mut events: Vec<Event> =
        events.into_iter().chain([Event { json: "[DONE]".to_owned(), output: 0 }]).collect();
    if behaviour.shape.malformed {
        let middle = events.len() / 2;
        if let Some(event) = events.get_mut(middle) {
            event.json.truncate(event.json.floor_char_boundary(event.json.len() / 2));
        }
    }
    if let Some(chunks) = behaviour.error_after {
        events.truncate(chunks);
        events.push(Event { json: error_json(500, "the model failed while it answered"), output: 0 });
    }
    let pieces = events.iter().map(|event| piece(&behaviour.shape, event)).collect();
    let response = Response::new(index, 200, "text/event-stream; charset=utf-8", Bytes::new());
    Response { pieces, chunked: true, completes: behaviour.error_after.is_none(), ..response }
}

fn piece(shape: &Shape, event: &Event) -> Piece {
    let end = if shape.crlf { "\r\n" } else { "\n" };
    let comment = if shape.comments { format!(": keep-alive{end}{end}") } else { String::new() };
    Piece { bytes: Bytes::from(format!("{comment}data: {}{end}{end}", event.json)), output: event.output }
}

struct Writer<'a> {
    index: u64,
    behaviour: &'a Behaviour,
    request: &'a ChatRequest,
    work: &'a Work,
    /// Output tokens so far, for running totals.
    generated: u64,
}

impl Writer<'_> {
    /// All that comes before the last usage chunk.
    fn content(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for choice in 0..self.work.choices {
            let delta = r#"{"role":"assistant","content":"","refusal":null}"#;
            events.push(self.delta(choice, delta, None, self.work.reasoning));
        }
        if self.request.include_usage && matches!(self.behaviour.report, Report::Early) {
            events.push(self.usage_event(&self.work.usage(self.work.output_of_all())));
        }
        let chunks = self.behaviour.shape.chunks;
        for index in 0..chunks {
            let (tokens, text) = self.work.part(index, chunks);
            let delta = self.text_delta(index, &text);
            for choice in 0..self.work.choices {
                events.push(self.delta(choice, &delta, None, tokens));
            }
        }
        let finish = finish_reason(self.behaviour, self.work);
        for choice in 0..self.work.choices {
            events.push(self.delta(choice, "{}", Some(finish), 0));
        }
        events
    }

    /// The usage chunks at the end.
    fn last_usage(&self) -> Vec<Event> {
        if !self.request.include_usage {
            return Vec::new();
        }
        let truth = self.work.usage(self.work.output_of_all());
        match &self.behaviour.report {
            Report::Truth | Report::Running => vec![self.usage_event(&truth)],
            Report::Nothing | Report::Early => Vec::new(),
            Report::Json(text) => vec![self.usage_event(text)],
            Report::TwiceFirst(text) => vec![self.usage_event(text), self.usage_event(&truth)],
        }
    }

    fn text_delta(&self, index: u64, text: &str) -> String {
        let text = quoted(text);
        match (self.behaviour.shape.tool_call, index) {
            (false, _) => format!(r#"{{"content":{text}}}"#),
            (true, 0) => format!(
                r#"{{"tool_calls":[{{"index":0,"id":"call_fake","type":"function","function":{{"name":"lookup","arguments":{text}}}}}]}}"#
            ),
            (true, _) => format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{text}}}}}]}}"#),
        }
    }

    fn delta(&mut self, choice: u64, delta: &str, finish: Option<&str>, output: u64) -> Event {
        self.generated = self.generated.saturating_add(output);
        let finish = finish.map_or("null".to_owned(), quoted);
        let usage = match (&self.behaviour.report, self.request.include_usage) {
            (Report::Running, true) => format!(r#","usage":{}"#, self.work.usage(self.generated)),
            (Report::Nothing, _) | (_, false) => String::new(),
            _ => r#","usage":null"#.to_owned(),
        };
        let choices =
            format!(r#"{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
        Event { json: self.chunk(&choices, &usage), output }
    }

    fn usage_event(&self, usage: &str) -> Event {
        Event { json: self.chunk("", &format!(r#","usage":{usage}"#)), output: 0 }
    }

    fn chunk(&self, choices: &str, usage: &str) -> String {
        format!(
            r#"{{"id":"chatcmpl-fake{}","object":"chat.completion.chunk","created":1700000000,"model":{},"service_tier":"default","system_fingerprint":"fp_fake","choices":[{choices}]{usage}}}"#,
            self.index,
            quoted(&self.request.model),
        )
    }
}
